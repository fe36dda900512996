//! Recipes about the protocol and the store: models, traces, cargo-mutants.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there};
use std::fs;
use std::path::Path;
use std::process::Command;

/// How many small blocks are explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocks {
    /// One in thirteen of three transactions.
    Sample,
    /// All of three transactions.
    Three,
    /// Those of four too.
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

/// The tests of the engine with toy machines: small models, traces, private batches, threads.
pub(crate) fn engine(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("engine", cargo("test --locked -p braid-models --tests -- --nocapture"))
}

/// Serves stateright's explorer, until it is stopped.
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

/// What cargo-mutants exits with where some survive, and where some run into the time limit.
const SURVIVED: i32 = 2;
const TIMED_OUT: i32 = 3;

/// Tests that notice mutants. Cargo runs them by their names, and the first that fails ends them: the
/// quick ones have earlier names.
const JUDGES: [&str; 7] =
    ["batch_commands", "batches", "commands", "outcomes", "store", "suites", "trace"];

/// Mutants that a tool makes: cargo-mutants over the protocol and the store, against the
/// models, the simulator and the traces. What it mutates, and which mutants may live and why, is in
/// `.cargo/mutants.toml`. `shard`: a part of them, as `1/8`. `resume`: without mutants that an earlier
/// run has seen noticed.
pub(crate) fn cargo_mutants(
    runner: &mut Runner,
    shard: Option<&str>,
    resume: bool,
) -> Result<(), Failed> {
    if !is_there("cargo", &["mutants", "--version"]) {
        runner.command("cargo-mutants: install", cargo("install --locked cargo-mutants"))?;
    }
    let judges = || JUDGES.map(|test| format!("--test={test}"));
    // Its own baseline looks for the tests in the package of the mutants, where they are not.
    let mut tests = cargo("test --locked -p braid-models");
    tests.args(judges());
    runner.command("cargo-mutants: the tests pass without mutants", tests)?;
    let mut command = cargo("mutants --no-shuffle --baseline skip --timeout 120");
    command.args(["--test-package", "braid-models"]);
    if resume {
        command.arg("--iterate");
    }
    // Other tests are not even built.
    command.args(judges().map(|test| format!("--cargo-arg={test}")));
    if let Some(shard) = shard {
        command.args(["--shard", shard]);
    }
    // A mutant changes one function: 5 seconds to build it instead of 14.
    command.env("CARGO_INCREMENTAL", "1");
    runner.check("cargo-mutants", |root| survivors(command, root))
}

/// Who survives is a line in a file: the exit code says less, if a mutant runs into the time limit.
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
