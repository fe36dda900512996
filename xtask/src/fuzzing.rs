//! Random and fuzzed inputs.

use crate::runner::{Beside, Failed, Runner};
use crate::workspace::{cargo, is_there, target_dir};
use clap::Args;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Targets of the fuzzer; each has a folder in `fuzz/corpus`.
const TARGETS: [&str; 5] =
    ["block_equivalence", "bytecode", "block_file", "version_chain", "protocol_events"];

/// What is fuzzed, and for how long.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FuzzArgs {
    /// How many random blocks
    #[arg(long)]
    pub(crate) blocks: Option<u64>,
    /// Replay the block of this seed alone
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How long the fuzzer looks for new inputs, for each target; 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Fuzz this target alone
    #[arg(value_parser = TARGETS)]
    pub(crate) target: Option<String>,
}

/// Replays what fuzzing started from and found, runs random blocks from the same generator, and
/// looks for new inputs.
pub(crate) fn fuzz(runner: &mut Runner, args: &FuzzArgs) -> Result<(), Failed> {
    let tests = "test --locked --workspace --test random_blocks --test corpus -- --nocapture";
    let mut command = cargo(tests);
    if let Some(blocks) = args.blocks {
        command.env("BRAID_RANDOM_BLOCKS", blocks.to_string());
    }
    if let Some(seed) = args.seed {
        command.env("BRAID_SEED", seed.to_string());
    }
    runner.command("random and fuzzed blocks", command)?;
    if args.seconds == 0 || args.seed.is_some() {
        return Ok(());
    }
    look(runner, args.target.as_deref(), args.seconds)
}

/// Lets the fuzzer look for new inputs, under AddressSanitizer, for all targets or for `target`: as
/// many at a time as there are cores.
pub(crate) fn look(runner: &mut Runner, target: Option<&str>, seconds: u64) -> Result<(), Failed> {
    install(runner)?;
    let mut build = cargo_fuzz(runner.root(), "build");
    build.args(target);
    runner.command("fuzz: build", build)?;
    let chosen = TARGETS.into_iter().filter(|name| target.is_none_or(|target| target == *name));
    let chosen: Vec<_> = chosen.collect();
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    chosen.chunks(cores).try_for_each(|together| {
        let started = together.iter().map(|name| start(runner, name, seconds));
        let started = started.collect::<Result<Vec<_>, _>>()?;
        started.into_iter().try_for_each(|fuzzer| runner.wait(fuzzer))
    })
}

fn install(runner: &mut Runner) -> Result<(), Failed> {
    if is_there("cargo", &["fuzz", "--version"]) {
        return Ok(());
    }
    runner.command("cargo-fuzz", cargo("install --locked cargo-fuzz"))
}

/// Lets the fuzzer run on one target, with a copy of its inputs: it writes into the folder that it is
/// given.
fn start(runner: &mut Runner, name: &str, seconds: u64) -> Result<Beside, Failed> {
    let target = fuzz_dir(runner.root());
    let scratch = target.join("scratch").join(name);
    runner.check(&format!("inputs of {name}"), |root| {
        copy_inputs(root, name, &scratch).map_err(|error| format!("{error}"))
    })?;
    let mut command = cargo_fuzz(runner.root(), "run");
    command.arg(name).arg(&scratch);
    command.args(["--", "-seed=1", "-len_control=0", "-rss_limit_mb=4096", "-timeout=120"]);
    command.arg(format!("-max_total_time={seconds}"));
    runner.start(&format!("fuzz {name}"), command, target.join(format!("{name}.log")))
}

fn fuzz_dir(root: &Path) -> PathBuf {
    target_dir(root).join("fuzz")
}

/// Sanitizers are not stable yet. And the build shall not take longer than what it is for: the
/// tool's profile would.
fn cargo_fuzz(root: &Path, what: &str) -> Command {
    let mut command = cargo(&format!("fuzz {what} --fuzz-dir fuzz --target-dir"));
    command.arg(fuzz_dir(root));
    command.env("RUSTC_BOOTSTRAP", "1");
    for (setting, value) in [("LTO", "off"), ("CODEGEN_UNITS", "16"), ("OPT_LEVEL", "1")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    command
}

fn copy_inputs(root: &Path, name: &str, scratch: &Path) -> io::Result<String> {
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(scratch)?,
    }
    let mut count = 0;
    for folder in ["corpus", "regressions"] {
        let folder = root.join("fuzz").join(folder).join(name);
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let entry = entry?;
            fs::copy(entry.path(), scratch.join(entry.file_name()))?;
            count += 1;
        }
    }
    Ok(format!("{count} inputs in {}", scratch.display()))
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use crate::workspace::root;
    use std::fs;

    #[test]
    fn every_target_has_a_program_and_a_corpus() {
        let fuzz = root().join("fuzz");
        for target in TARGETS {
            assert!(fuzz.join(format!("fuzz_targets/{target}.rs")).is_file(), "{target}");
            assert!(fuzz.join("corpus").join(target).is_dir(), "{target}");
        }
        let programs = fs::read_dir(fuzz.join("fuzz_targets")).unwrap();
        assert_eq!(programs.count(), TARGETS.len());
    }
}
