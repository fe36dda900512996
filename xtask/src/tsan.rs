//! Tests under ThreadSanitizer.

use crate::runner::{Failed, Runner};
use crate::workspace::{PLATFORM, add_flags, cargo, output, target_dir};
use std::path::Path;
use std::process::Command;

/// Number of random blocks under ThreadSanitizer.
const TSAN_BLOCKS: &str = "100";

/// Runs the threaded tests under ThreadSanitizer: those with toy machines and, with `whole`, those
/// with the EVM.
///
/// The standard library is rebuilt: the precompiled one does not report that a contended lock was
/// acquired, so every access under such a lock would look like a race.
pub(crate) fn tsan(runner: &mut Runner, whole: bool) -> Result<(), Failed> {
    std_source(runner)?;
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

/// Installs the source of the standard library, unless it is there.
pub(crate) fn std_source(runner: &mut Runner) -> Result<(), Failed> {
    let mut sysroot = Command::new("rustc");
    sysroot.args(["--print", "sysroot"]);
    let sysroot = output(sysroot).unwrap_or_default();
    if Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std").is_dir() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "rust-src"]);
    runner.command("source of std", rustup)
}
