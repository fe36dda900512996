//! Random and fuzzed inputs.

use crate::runner::{Beside, Failed, Runner};
use crate::workspace::{add_flags, cargo, is_there, target_dir};
use clap::Args;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Targets of the fuzzer; each has a folder in `fuzz/corpus`.
pub(crate) const TARGETS: [&str; 11] = [
    "strategies",
    "fees",
    "forks",
    "journals",
    "bundle",
    "lists",
    "declared",
    "bytecode",
    "block_file",
    "version_chain",
    "protocol_events",
];

/// Tests replay these inputs in every way, which takes too long for the fuzzer: it starts from them with the
/// first seven targets.
const REPLAYED: &str = "block_equivalence";
const FROM_REPLAYED: usize = 7;

/// Random blocks, where nothing else is asked for.
const BLOCKS: u64 = 500;

/// Memory, in MiB, at which a fuzzer ends: most turns need a seventh of it.
const MEMORY: &str = "-rss_limit_mb=2048";

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
    replay(runner)?;
    let tests = "random_blocks:: hostile_lists:: declared::";
    let mut command = cargo(&format!("test --locked --test blocks -- {tests} --nocapture"));
    let blocks = args.blocks.or(args.seed.is_none().then_some(BLOCKS));
    if let Some(blocks) = blocks {
        command.env("BRAID_RANDOM_BLOCKS", blocks.to_string());
        // Each of these is executed with several lists, or is made of declarations.
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
    look(runner, args.target.as_deref(), args.seconds)
}

/// Replays what fuzzing started from and found.
pub(crate) fn replay(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("fuzzed inputs", cargo("test --locked -p braid-fuzz --tests -- --nocapture"))
}

/// Lets the fuzzer look for new inputs, under AddressSanitizer, for all targets or for `target`: as
/// many at a time as there are cores.
pub(crate) fn look(runner: &mut Runner, target: Option<&str>, seconds: u64) -> Result<(), Failed> {
    install(runner)?;
    build(runner, target)?;
    chosen(target).chunks(cores()).try_for_each(|together| {
        let started = together.iter().map(|name| {
            // A copy: the fuzzer writes into the folder that it is given.
            let scratch = fuzz_dir(runner.root()).join("scratch").join(name);
            runner.check(&format!("inputs of {name}"), |root| {
                empty(&scratch).and_then(|()| copy_inputs(root, name, &scratch)).map_err(in_words)
            })?;
            start(runner, name, &[&scratch], seconds, &["-seed=1"])
        });
        let started = started.collect::<Result<Vec<_>, _>>()?;
        started.into_iter().try_for_each(|fuzzer| runner.wait(fuzzer))
    })
}

/// The targets that are asked for.
pub(crate) fn chosen(target: Option<&str>) -> Vec<&'static str> {
    TARGETS.into_iter().filter(|name| target.is_none_or(|target| target == *name)).collect()
}

/// How many fuzzers run at a time.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

pub(crate) fn build(runner: &mut Runner, target: Option<&str>) -> Result<(), Failed> {
    let mut build = cargo_fuzz(runner.root(), "build");
    build.args(target);
    runner.command("fuzz: build", build)
}

pub(crate) fn in_words(error: io::Error) -> String {
    error.to_string()
}

pub(crate) fn install(runner: &mut Runner) -> Result<(), Failed> {
    if is_there("cargo", &["fuzz", "--version"]) {
        return Ok(());
    }
    runner.command("cargo-fuzz", cargo("install --locked cargo-fuzz"))
}

/// Lets the fuzzer run on one target. It adds what it finds to the inputs in the first of `corpora`.
pub(crate) fn start(
    runner: &mut Runner,
    name: &str,
    corpora: &[&Path],
    seconds: u64,
    flags: &[&str],
) -> Result<Beside, Failed> {
    let mut command = cargo_fuzz(runner.root(), "run");
    command.arg(name).args(corpora);
    // Looking for leaks after each input would execute most inputs twice. It is done once, at the end.
    command.args(["--", "-detect_leaks=0", "-len_control=0", "-timeout=120", MEMORY]);
    command.arg(format!("-max_total_time={seconds}")).args(flags);
    let log = fuzz_dir(runner.root()).join(format!("{name}.log"));
    runner.start(&format!("fuzz {name}"), command, log)
}

pub(crate) fn fuzz_dir(root: &Path) -> PathBuf {
    target_dir(root).join("fuzz")
}

/// Freed memory is kept for a while so that its uses are noticed: 64 MiB instead of 256. The compiler's switch
/// alone leaves some functions that ask for a second stack.
const SANITIZER: &str =
    "detect_stack_use_after_return=0:quarantine_size_mb=64:malloc_context_size=8";

/// `cargo fuzz` with all that makes its inputs fast and its memory flat.
///
/// - Sanitizers are not stable yet.
/// - AddressSanitizer's search for uses of a stack after its function's return gives each fiber a stack of its
///   own, some 23 MiB, and corosensei does not tell it when a fiber has ended: five megabytes an input
///   stay for ever. No such use is possible in code without `unsafe`.
/// - The generator makes blocks of any bytes, so operands of comparisons tell the fuzzer nothing, and they take a
///   quarter of the time.
/// - The build shall not take longer than what it is for: the tool's profile would.
pub(crate) fn cargo_fuzz(root: &Path, what: &str) -> Command {
    let mut command =
        cargo(&format!("fuzz {what} --no-trace-compares --fuzz-dir fuzz --target-dir"));
    command.arg(fuzz_dir(root));
    command.env("RUSTC_BOOTSTRAP", "1");
    add_flags(&mut command, "RUSTFLAGS", "-Cllvm-args=-asan-use-after-return=never");
    command.env("ASAN_OPTIONS", SANITIZER);
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

/// Copies what the project keeps of inputs for the target `name`.
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
