//! Recipes for the protocol and the store: models, traces, cargo-mutants.

use crate::install;
use crate::runner::{Failed, Runner};
use crate::workspace::cargo;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Set of small blocks to explore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocks {
    /// One in thirteen blocks of three transactions.
    Sample,
    /// All blocks of three transactions.
    Three,
    /// Blocks of four transactions too.
    Four,
}

/// Explores every order of events of small blocks, with the shipped protocol.
pub(crate) fn models(runner: &mut Runner, blocks: Blocks) -> Result<(), Failed> {
    let size = match blocks {
        Blocks::Sample => " -- sample",
        Blocks::Three => "",
        Blocks::Four => " -- long",
    };
    runner.command("models", cargo(&format!("run --locked --release -p braid-models{size}")))
}

/// Runs the engine's tests with toy machines: small models, traces, private batches, threads.
pub(crate) fn engine(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("engine", cargo("test --locked -p braid-models --tests -- --nocapture"))
}

/// Serves stateright's explorer until it is stopped.
pub(crate) fn explore(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("explorer", cargo("run --locked --release -p braid-models -- web"))
}

/// Replays traces of simulated and threaded blocks against the reference store.
pub(crate) fn trace(runner: &mut Runner, times: u32) -> Result<(), Failed> {
    let line = "test --locked -p braid-models --test trace --test corrupted --test batches \
                --test corrupted_batches --test rounds -- --nocapture";
    let mut command = cargo(line);
    if times > 1 {
        command.env("BRAID_TRACE_TIMES", times.to_string());
    }
    runner.command("traces", command)
}

/// Exit codes of cargo-mutants if mutants survive, and if some reach the time limit.
const SURVIVED: i32 = 2;
const TIMED_OUT: i32 = 3;

/// Tests that catch mutants. Cargo runs them in the order of their names and stops at the first
/// failure, so the fast ones have names that sort first.
const JUDGES: [&str; 7] =
    ["batch_commands", "batches", "commands", "outcomes", "store", "suites", "trace"];

/// Runs cargo-mutants over the protocol and the store, with the models, the simulator and the
/// traces as tests.
///
/// `.cargo/mutants.toml` says which code is mutated, and which mutants may survive and why. `shard`
/// selects a part, such as `1/8`. `resume` skips mutants that an earlier run has caught.
pub(crate) fn cargo_mutants(
    runner: &mut Runner,
    shard: Option<&str>,
    resume: bool,
) -> Result<(), Failed> {
    install::subcommand(runner, "mutants")?;
    let judges = || JUDGES.map(|test| format!("--test={test}"));
    // The baseline of cargo-mutants looks for the tests in the package of the mutants, where there
    // are none.
    let mut tests = cargo("test --locked -p braid-models");
    tests.args(judges());
    runner.command("cargo-mutants: the tests pass without mutants", tests)?;
    let mut command = cargo("mutants --no-shuffle --baseline skip --timeout 120");
    command.args(["--test-package", "braid-models"]);
    if resume {
        command.arg("--iterate");
    }
    // Other tests are not built.
    command.args(judges().map(|test| format!("--cargo-arg={test}")));
    if let Some(shard) = shard {
        command.args(["--shard", shard]);
    }
    // A mutant changes one function, so an incremental build takes 5 seconds instead of 14.
    command.env("CARGO_INCREMENTAL", "1");
    runner.check("cargo-mutants", |root| survivors(command, root))
}

/// Returns an error that lists surviving mutants. They are read from a file, because the exit code
/// does not tell them from mutants that reach the time limit.
fn survivors(mut command: Command, root: &Path) -> Result<String, String> {
    let status = command.current_dir(root).status();
    let status = status.map_err(|error| format!("it did not start: {error}"))?;
    if !matches!(status.code(), Some(0 | SURVIVED | TIMED_OUT)) {
        return Err(status.to_string());
    }
    let path = root.join("mutants.out/missed.txt");
    let missed = fs::read_to_string(&path);
    let missed = missed.map_err(|error| format!("{}: {error}", path.display()))?;
    match missed.lines().count() {
        0 => Ok("no mutant survives but the permitted ones".to_owned()),
        count => Err(format!("{count} survive: {}", path.display())),
    }
}
