//! Recipes that run random blocks and the fuzzer.

use crate::install;
use crate::runner::{Beside, Failed, Runner};
use crate::workspace::{add_flags, cargo, target_dir};
use clap::{Args, ValueEnum};
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fuzz targets; each has a folder in `fuzz/corpus`.
pub(crate) const TARGETS: [&str; 17] = [
    "strategies",
    "fees",
    "forks",
    "journals",
    "bundle",
    "lists",
    "declared",
    "alloy",
    "bytecode",
    "block_file",
    "version_chain",
    "protocol_events",
    "rlp",
    "genesis",
    "pool",
    "chain",
    "json_rpc",
];

/// Target whose inputs tests replay in every way, which is too slow for the fuzzer. The first
/// [`FROM_REPLAYED`] targets start from its inputs.
pub(crate) const REPLAYED: &str = "block_equivalence";
const FROM_REPLAYED: usize = 8;

/// Default number of random blocks.
const BLOCKS: u64 = 500;

/// Memory limit of a fuzzer, in MiB. Most turns need a seventh of it.
const MEMORY: &str = "-rss_limit_mb=2048";

/// Inputs and duration of fuzzing.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FuzzArgs {
    /// Number of random blocks
    #[arg(long)]
    pub(crate) blocks: Option<u64>,
    /// Replay only the block of this seed
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Seconds to fuzz each target; 0 skips fuzzing
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Instead of fuzzing, show the share of the library's lines that the inputs of each target
    /// reach, and the functions that none reaches
    #[arg(long, conflicts_with_all = ["blocks", "seed", "seconds", "sanitizer"])]
    pub(crate) coverage: bool,
    /// What the build watches for
    #[arg(long, value_enum, default_value_t)]
    pub(crate) sanitizer: Sanitizer,
    /// Fuzz only this target
    #[arg(value_parser = TARGETS)]
    pub(crate) target: Option<String>,
}

/// What a build of the fuzzers watches for. Each has a folder of its own.
///
/// ThreadSanitizer is missing: it takes the switches between fibers for races. `cargo xtask tsan`
/// runs the threaded tests under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sanitizer {
    /// Nothing: the most inputs a second
    None,
    /// Wrong accesses to memory, and leaks
    #[default]
    Address,
}

/// Replays the known inputs, runs random blocks from the same generator, and fuzzes.
pub(crate) fn fuzz(runner: &mut Runner, args: &FuzzArgs) -> Result<(), Failed> {
    replay(runner)?;
    let tests = "random_blocks:: hostile_lists:: declared::";
    let mut command = cargo(&format!("test --locked --test blocks -- {tests} --nocapture"));
    let blocks = args.blocks.or(args.seed.is_none().then_some(BLOCKS));
    if let Some(blocks) = blocks {
        command.env("BRAID_RANDOM_BLOCKS", blocks.to_string());
        // Each block is executed with several access lists, or consists of transactions with
        // declarations.
        command.env("BRAID_HOSTILE_LISTS", blocks.div_ceil(20).to_string());
        command.env("BRAID_DECLARED", blocks.div_ceil(5).to_string());
    }
    if let Some(seed) = args.seed {
        command.env("BRAID_SEED", seed.to_string());
    }
    runner.command("random blocks", command)?;
    if args.seconds == 0 || args.seed.is_some() {
        return Ok(());
    }
    look(runner, args)
}

/// Replays the seed inputs and the inputs that fuzzing found.
pub(crate) fn replay(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("fuzzed inputs", cargo("test --locked -p braid-fuzz --tests -- --nocapture"))
}

/// Fuzzes the targets. As many fuzzers run at once as there are cores.
fn look(runner: &mut Runner, args: &FuzzArgs) -> Result<(), Failed> {
    let FuzzArgs { sanitizer, seconds, .. } = *args;
    let target = args.target.as_deref();
    build(runner, sanitizer, target)?;
    chosen(target).chunks(cores()).try_for_each(|together| {
        let started = together.iter().map(|name| {
            // The fuzzer writes into its folder, so it gets a copy.
            let scratch = fuzz_dir(runner.root()).join("scratch").join(name);
            runner.check(&format!("inputs of {name}"), |root| {
                empty(&scratch).and_then(|()| copy_inputs(root, name, &scratch)).map_err(in_words)
            })?;
            start(runner, sanitizer, name, &[&scratch], seconds, &["-seed=1"])
        });
        let started = started.collect::<Result<Vec<_>, _>>()?;
        started.into_iter().try_for_each(|fuzzer| runner.wait(fuzzer))
    })
}

/// Returns the targets to fuzz.
pub(crate) fn chosen(target: Option<&str>) -> Vec<&'static str> {
    TARGETS.into_iter().filter(|name| target.is_none_or(|target| target == *name)).collect()
}

/// Returns the number of fuzzers that run at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

pub(crate) fn build(
    runner: &mut Runner,
    sanitizer: Sanitizer,
    target: Option<&str>,
) -> Result<(), Failed> {
    install::subcommand(runner, "fuzz")?;
    let mut build = cargo_fuzz(runner.root(), sanitizer, "build");
    build.args(target);
    runner.command("fuzz: build", build)
}

pub(crate) fn in_words(error: io::Error) -> String {
    error.to_string()
}

/// Starts the fuzzer on one target. New inputs are written to the first of `corpora`.
pub(crate) fn start(
    runner: &mut Runner,
    sanitizer: Sanitizer,
    name: &str,
    corpora: &[&Path],
    seconds: u64,
    flags: &[&str],
) -> Result<Beside, Failed> {
    let mut command = cargo_fuzz(runner.root(), sanitizer, "run");
    command.arg(name).args(corpora);
    // A leak check after each input would execute most inputs twice. One check at the end suffices.
    command.args(["--", "-detect_leaks=0", "-len_control=0", "-timeout=120", MEMORY]);
    command.arg(format!("-max_total_time={seconds}")).args(flags);
    let log = fuzz_dir(runner.root()).join(format!("{name}.log"));
    runner.start(&format!("fuzz {name}"), command, log)
}

pub(crate) fn fuzz_dir(root: &Path) -> PathBuf {
    target_dir(root).join("fuzz")
}

/// Options of AddressSanitizer. The quarantine of freed memory is 64 MiB instead of 256.
/// Stack-use-after-return is disabled here because the compiler switch alone leaves some functions
/// that request a second stack.
const ASAN_OPTIONS: &str =
    "detect_stack_use_after_return=0:quarantine_size_mb=64:malloc_context_size=8";

/// Returns a `cargo fuzz` command whose inputs are fast and whose memory stays flat.
///
/// - `RUSTC_BOOTSTRAP` is set because sanitizers are unstable.
/// - Detection of stack-use-after-return is off. It gives each fiber a second stack of some 23 MiB,
///   and corosensei does not report when a fiber ends, so 5 MB leak per input. Code without
///   `unsafe` cannot have this bug.
/// - Tracing of comparisons is off. The generator makes a block of any bytes, so operands guide the
///   fuzzer nowhere, and tracing takes a quarter of the time.
/// - The build does not use the tool's profile, which would take longer to build than it saves.
pub(crate) fn cargo_fuzz(root: &Path, sanitizer: Sanitizer, what: &str) -> Command {
    let (name, folder, flags) = match sanitizer {
        Sanitizer::None => ("none", "plain", "--cfg braid_unsanitized"),
        Sanitizer::Address => ("address", "", "-Cllvm-args=-asan-use-after-return=never"),
    };
    let line = format!("fuzz {what} --sanitizer {name} --no-trace-compares --fuzz-dir fuzz");
    let mut command = cargo(&line);
    command.arg("--target-dir").arg(fuzz_dir(root).join(folder));
    command.env("RUSTC_BOOTSTRAP", "1");
    add_flags(&mut command, "RUSTFLAGS", flags);
    command.env("ASAN_OPTIONS", ASAN_OPTIONS);
    for (setting, value) in [("LTO", "off"), ("CODEGEN_UNITS", "16"), ("OPT_LEVEL", "2")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    command
}

pub(crate) fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
}

/// Copies the committed inputs of the target `name`.
pub(crate) fn copy_inputs(root: &Path, name: &str, to: &Path) -> io::Result<String> {
    let mut count = 0;
    let starts_there = TARGETS.into_iter().take(FROM_REPLAYED).any(|first| first == name);
    let replayed = starts_there.then_some(REPLAYED);
    for (folder, of) in [("corpus", Some(name)), ("regressions", Some(name)), ("corpus", replayed)]
    {
        let Some(of) = of else { continue };
        let Ok(entries) = fs::read_dir(root.join("fuzz").join(folder).join(of)) else { continue };
        for entry in entries {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
            count += 1;
        }
    }
    Ok(format!("{count} inputs in {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::{REPLAYED, TARGETS};
    use crate::workspace::root;
    use std::fs;

    #[test]
    fn every_target_has_a_program_and_a_corpus() {
        let fuzz = root().join("fuzz");
        for target in TARGETS.into_iter().chain([REPLAYED]) {
            assert!(fuzz.join(format!("fuzz_targets/{target}.rs")).is_file(), "{target}");
            assert!(fuzz.join("corpus").join(target).is_dir(), "{target}");
        }
        let programs = fs::read_dir(fuzz.join("fuzz_targets")).unwrap();
        assert_eq!(programs.count(), TARGETS.len() + 1);
    }
}
