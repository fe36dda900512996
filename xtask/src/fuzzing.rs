//! Recipes that run random blocks and the fuzzer.

use crate::change::{Change, at_most};
use crate::runner::{Beside, Failed, Runner};
use crate::tsan;
use crate::turns::Figures;
use crate::workspace::{PLATFORM, add_flags, cargo, target_dir};
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
    /// Instead of looking for unknown bugs, measure how long each seeded bug of docs/data/fuzz_teeth.tsv
    /// takes to find, up to --seconds each
    #[arg(long, conflicts_with_all = ["blocks", "seed", "coverage"])]
    pub(crate) teeth: bool,
    /// Only build the fuzzers, into target/fuzz/SANITIZER
    #[arg(long, conflicts_with_all = ["blocks", "seed", "seconds", "coverage", "teeth"])]
    pub(crate) build: bool,
    /// What the build watches for
    #[arg(long, value_enum, default_value_t)]
    pub(crate) sanitizer: Sanitizer,
    /// Fuzz only this target
    #[arg(value_parser = TARGETS)]
    pub(crate) target: Option<String>,
}

/// What a build of the fuzzers watches for. Each has a folder of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sanitizer {
    /// Nothing: the most inputs a second
    None,
    /// Wrong accesses to memory, and leaks
    #[default]
    Address,
    /// Data races; only for the targets that run on threads and never on fibers
    Thread,
}

/// The targets for ThreadSanitizer, which takes switches between fibers for races. The others run on
/// threads under it in `cargo xtask tsan`.
const THREADED: [&str; 4] = ["alloy", "genesis", "chain", "json_rpc"];

impl Sanitizer {
    /// Returns its name in the names of files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Address => "address",
            Self::Thread => "thread",
        }
    }

    /// Returns `target`, or all targets that it can watch.
    pub(crate) fn targets(
        self,
        runner: &mut Runner,
        target: Option<&str>,
    ) -> Result<Vec<&'static str>, Failed> {
        let mut targets = chosen(target);
        targets.retain(|name| self != Self::Thread || THREADED.contains(name));
        runner.check("fuzz: targets", |_| match targets.is_empty() {
            false => Ok(targets.join(", ")),
            true => Err(format!("ThreadSanitizer can watch only {}", THREADED.join(", "))),
        })?;
        Ok(targets)
    }
}

/// Replays the known inputs, runs random blocks from the same generator, and fuzzes.
pub(crate) fn fuzz(runner: &mut Runner, args: &FuzzArgs) -> Result<(), Failed> {
    if args.build {
        let targets = args.sanitizer.targets(runner, args.target.as_deref())?;
        return build(runner, args.sanitizer, &targets);
    }
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
    look(runner, args.sanitizer, args.target.as_deref(), args.seconds)
}

/// Replays the seed inputs and the inputs that fuzzing found.
pub(crate) fn replay(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("fuzzed inputs", cargo("test --locked -p braid-fuzz --tests -- --nocapture"))
}

/// Builds the fuzzers of all targets, or of one, and runs each for `seconds`.
pub(crate) fn look(
    runner: &mut Runner,
    sanitizer: Sanitizer,
    target: Option<&str>,
    seconds: u64,
) -> Result<(), Failed> {
    let targets = sanitizer.targets(runner, target)?;
    build(runner, sanitizer, &targets)?;
    run(runner, sanitizer, &targets, seconds)
}

/// Fuzzes `targets`, each for `seconds`. As many fuzzers run at once as there are cores.
fn run(
    runner: &mut Runner,
    sanitizer: Sanitizer,
    targets: &[&'static str],
    seconds: u64,
) -> Result<(), Failed> {
    targets.chunks(cores()).try_for_each(|together| {
        let started = together.iter().map(|name| {
            // The fuzzer writes into its folder, so it gets a copy.
            let scratch = fuzz_dir(runner.root()).join("scratch").join(name);
            runner.check(&format!("inputs of {name}"), |root| {
                empty(&scratch).and_then(|()| copy_inputs(root, name, &scratch)).map_err(in_words)
            })?;
            start(runner, sanitizer, name, &[&scratch], seconds, &[])
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

/// Builds the fuzzers of `targets`.
pub(crate) fn build(
    runner: &mut Runner,
    sanitizer: Sanitizer,
    targets: &[&str],
) -> Result<(), Failed> {
    if sanitizer == Sanitizer::Thread {
        tsan::std_source(runner)?;
    }
    runner.command("fuzz: build", building(runner.root(), sanitizer, targets))
}

/// Fuzzes targets whose code the change touches, without sanitizer: at most [`MOST_TOUCHED`] of
/// them, for [`TOUCHED`] seconds each. A fuzzer that has stopped looking is a failure, too: each
/// must run new inputs, and reach features that its committed inputs do not.
pub(crate) fn touched(runner: &mut Runner) -> Result<(), Failed> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        runner.skip("fuzz: targets that the change touches", "the fuzzers need Linux on x86-64");
        return Ok(());
    }
    let mut targets = Vec::new();
    runner.check("fuzz: targets that the change touches", |root| {
        let Change { files, base, seed } = Change::read(root)?;
        targets = files.map_or_else(|| TARGETS.to_vec(), |files| of_files(&files));
        let all = targets.len();
        targets = at_most(std::mem::take(&mut targets), MOST_TOUCHED, seed);
        let names = if all == 0 { "none".to_owned() } else { targets.join(", ") };
        Ok(format!("{names}, of {all} that are touched since {base}"))
    })?;
    if targets.is_empty() {
        return Ok(());
    }
    build(runner, Sanitizer::None, &targets)?;
    run(runner, Sanitizer::None, &targets, TOUCHED)?;
    runner.check("fuzz: what was reached", |root| {
        let figures = targets.iter().map(|name| {
            let log = fs::read(fuzz_dir(root).join(format!("{name}.log"))).map_err(in_words)?;
            Figures::of(&String::from_utf8_lossy(&log)).judged(name, FEWEST_INPUTS)
        });
        Ok(figures.collect::<Result<Vec<_>, _>>()?.join("; "))
    })
}

/// Maximum number of targets in one CI run.
const MOST_TOUCHED: usize = 4;
/// Seconds for each of them.
const TOUCHED: u64 = 30;
/// Fewest new inputs of a target in that time: a third of what the slowest one runs on two busy
/// cores.
const FEWEST_INPUTS: u64 = 500;

/// Targets whose inputs are blocks.
const OF_BLOCKS: [&str; 8] =
    ["strategies", "fees", "forks", "journals", "bundle", "lists", "declared", "bytecode"];

/// Folders, and the targets that fuzz their code.
const AREAS: [(&str, &[&str]); 14] = [
    ("src/alloy/", &["alloy"]),
    ("src/mv/", &["version_chain", "strategies", "journals"]),
    ("src/protocol/", &["protocol_events", "strategies"]),
    ("src/", &OF_BLOCKS),
    ("fuzz/src/targets/chosen/", &OF_BLOCKS),
    ("fuzz/src/mutate.rs", &OF_BLOCKS),
    ("lab/testkit/", &OF_BLOCKS),
    ("models/", &["protocol_events"]),
    ("Cargo.lock", &TARGETS),
    ("crates/chain/src/pool/", &["pool"]),
    ("crates/chain/src/rlp.rs", &["rlp"]),
    ("crates/chain/", &["chain", "genesis"]),
    ("crates/node/", &["json_rpc", "genesis"]),
    ("crates/blocks/", &["block_file", "rlp"]),
];

/// Returns the targets that fuzz the code of `files`. A target's own file has its name.
fn of_files(files: &[String]) -> Vec<&'static str> {
    let is_touched = |target: &&str| {
        files.iter().any(|file| {
            let area = AREAS.iter().find(|(folder, _)| file.starts_with(folder));
            area.is_some_and(|(_, targets)| targets.contains(target))
                || file.strip_prefix("fuzz/src/targets/").is_some_and(|own| {
                    own.split(['/', '.']).next().is_some_and(|name| name == *target)
                })
        })
    };
    TARGETS.into_iter().filter(is_touched).collect()
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
    let found = found(runner.root(), name);
    runner.check(&format!("{name}: folder of finds"), |_| {
        fs::create_dir_all(&found).map_err(in_words)?;
        Ok(found.display().to_string())
    })?;
    let mut command = fuzzer(runner.root(), sanitizer, name);
    command.args(corpora).arg(format!("-artifact_prefix={}/", found.display()));
    command.arg(format!("-max_total_time={seconds}")).args(flags);
    let log = fuzz_dir(runner.root()).join(format!("{name}.log"));
    runner.start(&format!("fuzz {name}"), command, log)
}

/// Returns the folder of the inputs that a target has failed on.
pub(crate) fn found(root: &Path, name: &str) -> PathBuf {
    fuzz_dir(root).join("found").join(name)
}

pub(crate) fn fuzz_dir(root: &Path) -> PathBuf {
    target_dir(root).join("fuzz")
}

/// Options of AddressSanitizer.
///
/// - The quarantine of freed memory is 64 MiB instead of 256.
/// - Detection of stack-use-after-return is disabled here, too, because the compiler switch alone
///   leaves some functions that request a second stack.
/// - Comparisons of memory are not intercepted: the fuzzer would note the operands of each.
const ASAN_OPTIONS: &str = "detect_stack_use_after_return=0:quarantine_size_mb=64:malloc_context_size=8:intercept_memcmp=0";

/// Without this option, ThreadSanitizer reports a race and goes on, and no input is stored.
const TSAN_OPTIONS: &str = "halt_on_error=1";

/// Crates whose branches the fuzzer counts: ours, and those that decode blocks. Counting in all
/// crates would take longer, and lead to inputs that are new only for other code.
const COUNTED: [&str; 9] = [
    "alloy-consensus",
    "alloy-eip7928",
    "alloy-rlp",
    "braid-blocks",
    "braid-chain",
    "braid-evm",
    "braid-models",
    "braid-node",
    "braid-toy",
];

/// Flags of the counted crates.
const COUNTERS: [&str; 4] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
];

/// Returns the command that builds `targets`, whose inputs are fast and whose memory stays flat.
///
/// - `RUSTC_BOOTSTRAP` is set because sanitizers and flags of single crates are unstable.
/// - Detection of stack-use-after-return is off. It gives each fiber a second stack of some 23 MiB,
///   and corosensei does not report when a fiber ends, so 5 MB leak per input. Code without
///   `unsafe` cannot have this bug.
/// - Comparisons are not traced. The generator makes a block of any bytes, so operands guide the
///   fuzzer nowhere, and tracing takes a quarter of the time.
fn building(root: &Path, sanitizer: Sanitizer, targets: &[&str]) -> Command {
    let line = "build --locked -p braid-fuzz --profile fuzz -Zprofile-rustflags";
    let mut command = cargo(&format!("{line} --target {PLATFORM}"));
    let flags = serde_json::json!(COUNTERS);
    for name in COUNTED {
        let flags = format!("profile.fuzz.package.{name}.rustflags={flags}");
        command.args(["--config", &flags]);
    }
    command.args(targets.iter().flat_map(|target| ["--bin", target]));
    command.arg("--target-dir").arg(fuzz_dir(root).join(sanitizer.name()));
    command.env("RUSTC_BOOTSTRAP", "1");
    let flags = match sanitizer {
        Sanitizer::None => "--cfg braid_unsanitized",
        Sanitizer::Address => "-Zsanitizer=address -Cllvm-args=-asan-use-after-return=never",
        Sanitizer::Thread => {
            // The precompiled standard library does not report that a contended lock was acquired.
            command.arg("-Zbuild-std");
            "--cfg braid_unsanitized -Zsanitizer=thread"
        }
    };
    add_flags(&mut command, "RUSTFLAGS", &format!("--cfg fuzzing -Cforce-frame-pointers {flags}"));
    command
}

/// Returns the command that runs the fuzzer of a target.
pub(crate) fn fuzzer(root: &Path, sanitizer: Sanitizer, target: &str) -> Command {
    let built = fuzz_dir(root).join(sanitizer.name()).join(PLATFORM).join("fuzz");
    let mut command = Command::new(built.join(target));
    command.env("ASAN_OPTIONS", ASAN_OPTIONS).env("TSAN_OPTIONS", TSAN_OPTIONS).args(FLAGS);
    command
}

/// Options of every fuzzer.
///
/// - A leak check after each input would execute most inputs twice; one check at the end suffices.
/// - The schedule that prefers inputs with rare branches (`entropic`) takes more time than most
///   inputs: of `strategies`, half as many ran in a minute, and they reached less.
const FLAGS: [&str; 6] = [
    "-detect_leaks=0",
    "-entropic=0",
    "-len_control=0",
    "-print_final_stats=1",
    "-timeout=120",
    MEMORY,
];

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
    use super::{AREAS, ASAN_OPTIONS, FLAGS, OF_BLOCKS, REPLAYED, TARGETS, of_files};
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

    /// The services start the fuzzers themselves, with the options in a file.
    #[test]
    fn the_services_have_the_options_of_the_recipes() {
        let file = fs::read_to_string(root().join(".clusterfuzzlite/options")).unwrap();
        let given: Vec<_> = file.lines().filter(|line| line.contains('=')).collect();
        let own = FLAGS.iter().filter_map(|flag| flag.strip_prefix('-'));
        // Only the recipes read the statistics.
        let own = own.filter(|flag| !flag.starts_with("print_final_stats"));
        let all: Vec<_> = own.chain(ASAN_OPTIONS.split(':')).collect();
        let all: Vec<_> = all.iter().map(|option| option.replace('=', " = ")).collect();
        let sorted = |mut list: Vec<String>| {
            list.sort();
            list
        };
        assert_eq!(sorted(given.into_iter().map(str::to_owned).collect()), sorted(all));
    }

    #[test]
    fn a_change_names_the_targets_that_fuzz_its_code() {
        let of = |file: &str| of_files(&[file.to_owned()]);
        assert_eq!(of("crates/chain/src/pool/mod.rs"), ["pool"]);
        assert_eq!(of("fuzz/src/targets/json_rpc/calls.rs"), ["json_rpc"]);
        assert_eq!(of("fuzz/src/targets/rlp.rs"), ["rlp"]);
        assert_eq!(of("src/alloy/mod.rs"), ["alloy"]);
        assert!(of("src/evm/mod.rs").contains(&"strategies"));
        assert_eq!(of("fuzz/src/targets/chosen/mod.rs").len(), OF_BLOCKS.len());
        assert!(of("docs/TESTING.md").is_empty());
        for (folder, targets) in AREAS {
            assert!(root().join(folder).exists(), "{folder}");
            assert!(targets.iter().all(|target| TARGETS.contains(target)), "{folder}");
        }
    }
}
