//! Recipes with instrumented builds: coverage and ThreadSanitizer.

use crate::install;
use crate::runner::{Failed, Runner};
use crate::workspace::{add_flags, cargo, output, target_dir};
use serde_json::Value;
use std::path::Path;
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
    install::subcommand(runner, "llvm-cov")?;
    let llvm = |line: &str| {
        let mut command = cargo(&format!("llvm-cov {line}"));
        // Adds the toolchain's LLVM tools without asking.
        command.env("CARGO_LLVM_COV_SETUP", "yes");
        command
    };
    let replay = "test --locked --no-report -p braid-fuzz --test corpus";
    runner.command("coverage: replay the inputs", llvm(replay))?;
    runner.command("coverage: lines that no input reaches", llvm("report --text"))?;
    runner.check("coverage", |root| {
        let mut report = llvm("report --json --summary-only");
        report.current_dir(root);
        let report = serde_json::from_str(&output(report)?).map_err(|error| error.to_string())?;
        judge(&report, root)
    })
}

/// Compares the lines that ran with the minimum of each folder.
fn judge(report: &Value, root: &Path) -> Result<String, String> {
    let files = report["data"][0]["files"].as_array().ok_or("the report names no files")?;
    let (mut said, mut low) = (Vec::new(), Vec::new());
    for (folder, at_least) in COVERED {
        let is_in = |file: &&Value| {
            let path = Path::new(file["filename"].as_str().unwrap_or_default());
            path.starts_with(root.join(folder)) && !path.iter().any(|part| part == "tests")
        };
        let sum = |key: &str| -> f64 {
            let lines = |file: &Value| file["summary"]["lines"][key].as_f64();
            files.iter().filter(is_in).filter_map(lines).sum()
        };
        let (all, run) = (sum("count"), sum("covered"));
        if all == 0.0 {
            return Err(format!("nothing is known of {folder}"));
        }
        let percent = 100.0 * run / all;
        said.push(format!("{folder} {percent:.1} % of {all} lines"));
        if percent < at_least {
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
    use super::judge;
    use serde_json::{Value, json};
    use std::path::Path;

    /// Returns a report in which `covered` lines of ten ran in each folder, and none elsewhere.
    fn report(folders: &[&str], covered: u32) -> Value {
        let file = |path: String, covered| json!({"filename": path, "summary": {"lines": {"count": 10, "covered": covered}}});
        let mut files: Vec<_> =
            folders.iter().map(|it| file(format!("/r/src/{it}/a.rs"), covered)).collect();
        let others = ["/r/src/mv/tests/b.rs", "/other/src/mv/c.rs"];
        files.extend(others.map(|it| file(it.to_owned(), 0)));
        json!({"data": [{"files": files}]})
    }

    #[test]
    fn few_lines_fail_and_so_does_a_folder_without_any() {
        let judge = |folders: &[&str], covered| judge(&report(folders, covered), Path::new("/r"));
        let all = ["evm", "mv", "protocol"];
        assert!(judge(&["mv"], 10).unwrap_err().contains("nothing is known of src/evm/"));
        assert!(judge(&all, 8).unwrap_err().contains("less than 90 % of src/mv/"));
        assert!(judge(&all, 9).unwrap().contains("src/protocol/ 90.0 % of 10 lines"));
        assert!(super::judge(&json!({}), Path::new("/r")).is_err());
    }
}
