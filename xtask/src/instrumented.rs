//! Recipes with instrumented builds: coverage and ThreadSanitizer.

use crate::runner::{Failed, Runner};
use crate::workspace::{add_flags, cargo, is_there, output, target_dir};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Source folders, each with the minimum percentage of lines that the fuzzer's inputs must reach.
const COVERED: [(&str, f64); 3] = [("src/evm/", 90.0), ("src/mv/", 90.0), ("src/protocol/", 90.0)];

/// Target of sanitized builds. Naming it keeps the flags away from build scripts.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Number of random blocks under ThreadSanitizer.
const TSAN_BLOCKS: &str = "100";

/// Measures the lines of `src/evm`, `src/mv` and `src/protocol` that replaying the fuzzer's inputs
/// reaches.
pub(crate) fn coverage(runner: &mut Runner) -> Result<(), Failed> {
    let tools = tools(runner)?;
    let target = target_dir(runner.root()).join("coverage");
    let profiles = target.join("profiles");
    // Profiles of an earlier run belong to another build.
    let _ = fs::remove_dir_all(&profiles);
    // Macros and build scripts are instrumented too, but their profiles are not used.
    let watched = |command: &str, profiles: &Path| {
        let mut command = cargo(command);
        add_flags(&mut command, "RUSTFLAGS", "-C instrument-coverage");
        command.env("CARGO_TARGET_DIR", &target).env("LLVM_PROFILE_FILE", profiles);
        command
    };
    let (replay, nowhere) = ("test --locked -p braid-fuzz --test corpus", Path::new("/dev/null"));
    runner.command("coverage: build", watched(&format!("{replay} --no-run"), nowhere))?;
    let profile = profiles.join("%p-%m.profraw");
    runner.command("coverage: replay the inputs", watched(replay, &profile))?;
    runner.check("coverage", |root| {
        let mut listing = watched(&format!("{replay} --no-run --message-format json"), nowhere);
        listing.current_dir(root);
        let messages = output(listing)?;
        let program = test_program(&messages).ok_or("no test program was built")?;
        let merged = target.join("corpus.profdata");
        let mut merge = Command::new(tools.join("llvm-profdata"));
        merge.args(["merge", "-sparse", "-o"]).arg(&merged).arg(&profiles);
        output(merge)?;
        let mut export = Command::new(tools.join("llvm-cov"));
        export.args(["export", "--format=lcov", "--skip-functions"]);
        export.arg(format!("--instr-profile={}", merged.display())).arg(program);
        judge(&output(export)?, root)
    })
}

/// Returns the folder of the toolchain's LLVM tools. Other versions may not read the compiler's
/// files.
fn tools(runner: &mut Runner) -> Result<PathBuf, Failed> {
    let find = || {
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "target-libdir"]);
        let libraries = output(rustc).ok()?;
        let tools = Path::new(libraries.trim()).parent()?.join("bin");
        is_there(tools.join("llvm-profdata"), &["--version"]).then_some(tools)
    };
    if let Some(tools) = find() {
        return Ok(tools);
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "llvm-tools"]);
    runner.command("coverage: llvm-tools", rustup)?;
    find().ok_or(Failed)
}

/// Returns the executable that cargo built for the test `corpus`.
fn test_program(messages: &str) -> Option<&str> {
    let of_test = |line: &&str| line.contains("\"name\":\"corpus\"");
    messages.lines().filter(of_test).find_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        rest.split('"').next()
    })
}

/// Number of lines of a folder: all of them, and those that ran.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lines {
    all: usize,
    run: usize,
    /// Lines that did not run, by file.
    missed: BTreeMap<String, BTreeSet<u32>>,
}

impl Lines {
    fn percent(&self) -> f64 {
        100.0 * self.run as f64 / self.all.max(1) as f64
    }
}

/// Sums up a report in lcov format by folder.
fn lines(report: &str, root: &Path) -> BTreeMap<&'static str, Lines> {
    let mut folders: BTreeMap<&'static str, Lines> = BTreeMap::new();
    let mut file = None;
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let below = Path::new(path).strip_prefix(root).ok();
            let below = below.map(|path| path.to_string_lossy().into_owned());
            file = below.and_then(|path| {
                let (folder, _) = COVERED.into_iter().find(|(name, _)| path.starts_with(name))?;
                (!path.contains("/tests/")).then_some((folder, path))
            });
        } else if let (Some((folder, path)), Some(data)) = (&file, line.strip_prefix("DA:"))
            && let Some((number, count)) = data.split_once(',')
        {
            let lines = folders.entry(folder).or_default();
            lines.all += 1;
            if count.trim() != "0" {
                lines.run += 1;
            } else if let Ok(number) = number.parse() {
                lines.missed.entry(path.clone()).or_default().insert(number);
            }
        }
    }
    folders
}

fn judge(report: &str, root: &Path) -> Result<String, String> {
    let folders = lines(report, root);
    let (mut said, mut low) = (Vec::new(), Vec::new());
    for (folder, at_least) in COVERED {
        let lines = folders.get(folder).ok_or(format!("nothing is known of {folder}"))?;
        for (path, missed) in &lines.missed {
            println!("    {path}: {missed:?}");
        }
        said.push(format!("{folder} {:.1} % of {} lines", lines.percent(), lines.all));
        if lines.percent() < at_least {
            low.push(format!("less than {at_least} % of {folder}"));
        }
    }
    let said = said.join(", ");
    if low.is_empty() { Ok(said) } else { Err(format!("{said}: {}", low.join(", "))) }
}

/// Runs the threaded tests under ThreadSanitizer: those with toy machines and, with `whole`, those
/// with the EVM.
///
/// The standard library is rebuilt: the precompiled one does not report that a contended lock was
/// acquired, so every access under such a lock would look like a race.
pub(crate) fn tsan(runner: &mut Runner, whole: bool) -> Result<(), Failed> {
    if !has_std_source() {
        let mut rustup = Command::new("rustup");
        rustup.args(["component", "add", "rust-src"]);
        runner.command("ThreadSanitizer: source of std", rustup)?;
    }
    let target = target_dir(runner.root()).join("tsan");
    let watched = |tests: &str| {
        let mut command = cargo(&format!("test --locked -Zbuild-std --target {PLATFORM} {tests}"));
        // As with the fuzzer, because sanitizers are unstable.
        command.env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_DIR", &target);
        command.env("BRAID_RANDOM_BLOCKS", TSAN_BLOCKS);
        add_flags(&mut command, "RUSTFLAGS", "-Zsanitizer=thread");
        command
    };
    // A package without the EVM builds faster.
    let engine = watched("-p braid-models --test threads");
    runner.command("ThreadSanitizer: engine", engine)?;
    if whole {
        let mut blocks = watched("-p braid-evm --test blocks");
        blocks.args(["--", "random_blocks::", "faults::", "regressions::"]);
        runner.command("ThreadSanitizer: blocks", blocks)?;
    }
    Ok(())
}

fn has_std_source() -> bool {
    let mut sysroot = Command::new("rustc");
    sysroot.args(["--print", "sysroot"]);
    let sysroot = output(sysroot).unwrap_or_default();
    Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std").is_dir()
}

#[cfg(test)]
mod tests {
    use super::{Lines, judge, lines, test_program};
    use std::path::Path;

    const REPORT: &str = "SF:/r/src/mv/a.rs\nDA:1,3\nDA:2,0\nend_of_record\n\
                          SF:/r/src/mv/tests/b.rs\nDA:1,0\nSF:/other/src/mv/c.rs\nDA:1,0\n";

    #[test]
    fn lines_are_counted_by_folder() {
        let folders = lines(REPORT, Path::new("/r"));
        let missed = [("src/mv/a.rs".to_owned(), [2].into())].into();
        assert_eq!(folders, [("src/mv/", Lines { all: 2, run: 1, missed })].into());
    }

    #[test]
    fn few_lines_fail_and_so_does_a_folder_without_any() {
        let root = Path::new("/r");
        assert!(judge(REPORT, root).unwrap_err().contains("nothing is known of src/evm/"));
        let report = |count| {
            let file = |folder| format!("SF:/r/src/{folder}/a.rs\nDA:1,{count}\n");
            ["evm", "mv", "protocol"].map(file).concat()
        };
        assert!(judge(&report(0), root).unwrap_err().contains("less than 90 % of src/mv/"));
        assert!(judge(&report(1), root).unwrap().contains("src/protocol/ 100.0 % of 1 lines"));
    }

    #[test]
    fn the_test_program_is_found() {
        let messages = "{\"target\":{\"name\":\"other\"},\"executable\":\"/x\"}\n\
                        {\"target\":{\"name\":\"corpus\"},\"executable\":\"/y\"}\n";
        assert_eq!(test_program(messages), Some("/y"));
    }
}
