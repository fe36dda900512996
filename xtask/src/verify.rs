//! Recipes about the protocol and the store: models, traces, seeded bugs.

use crate::recipes::loom;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there};

/// Explores every order of events of small blocks, with the shipped protocol.
pub(crate) fn models(runner: &mut Runner, long: bool) -> Result<(), Failed> {
    let size = if long { " -- long" } else { "" };
    runner.command("models", cargo(&format!("run --locked --release -p braid-models{size}")))
}

/// Serves stateright's explorer, until it is stopped.
pub(crate) fn explore(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("explorer", cargo("run --locked --release -p braid-models -- web"))
}

/// Replays traces of simulated and threaded blocks against the reference store.
pub(crate) fn trace(runner: &mut Runner, times: u32) -> Result<(), Failed> {
    // The whole workspace, so that what the tests have built is used again.
    let line = "test --locked --workspace --test trace --test corrupted -- --nocapture";
    let mut command = cargo(line);
    if times > 1 {
        command.env("BRAID_TRACE_TIMES", times.to_string());
    }
    runner.command("traces", command)
}

/// Every seeded bug is noticed.
pub(crate) fn mutants(runner: &mut Runner) -> Result<(), Failed> {
    let store = "test --locked --workspace --lib mutant -- --nocapture";
    runner.command("seeded bugs: properties", cargo(store))?;
    let protocol = "test --locked --workspace --test mutants -- --nocapture";
    runner.command("seeded bugs: models, simulation, traces", cargo(protocol))?;
    let ethereum = "test --locked --workspace --test equivalence --test simulated_blocks \
                    -- --nocapture mutants seeded";
    runner.command("seeded bugs: Ethereum layer", cargo(ethereum))?;
    loom(runner, None, "loom_catches")
}

/// Mutants that nobody wrote by hand: cargo-mutants over the protocol and the store, against the
/// models, the simulator and the traces. `shard`: a part of them, as `1/8`.
pub(crate) fn cargo_mutants(runner: &mut Runner, shard: Option<&str>) -> Result<(), Failed> {
    let tests = "--test commands --test store --test outcomes --test trace --test exhaustive";
    if !is_there("cargo", &["mutants", "--version"]) {
        runner.command("cargo-mutants: install", cargo("install --locked cargo-mutants"))?;
    }
    // Its own baseline looks for the tests in the package of the mutants, where they are not.
    runner.command(
        "cargo-mutants: the tests pass without mutants",
        cargo(&format!("test -p braid-models {tests}")),
    )?;
    let mut command =
        cargo("mutants --no-shuffle --baseline skip --timeout 120 --test-package braid-models");
    // What it cannot judge: seeded bugs, and code that only says what happened.
    command.args(["-f", "src/protocol/*.rs", "-f", "src/mv/*.rs"]);
    command.args(["-e", "**/mutants.rs", "-e", "**/loom_tests.rs", "-e", "src/mv/tests/**"]);
    if let Some(shard) = shard {
        command.args(["--shard", shard]);
    }
    // A mutant changes one function: 2 seconds to build it instead of 14.
    command.env("CARGO_INCREMENTAL", "1");
    // What an earlier run has judged stays judged.
    command.args(["--iterate", "--"]).args(tests.split_whitespace());
    runner.command("cargo-mutants", command)
}
