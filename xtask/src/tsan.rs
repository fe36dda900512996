//! Tests under ThreadSanitizer.

use crate::install;
use crate::runner::{Failed, Runner};
use crate::workspace::{add_flags, cargo, target_dir};

/// Target of sanitized builds. Naming it keeps the flags away from build scripts.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Number of random blocks under ThreadSanitizer.
const TSAN_BLOCKS: &str = "100";

/// Runs the threaded tests under ThreadSanitizer: those with toy machines and, with `whole`, those
/// with the EVM.
///
/// The standard library is rebuilt: the precompiled one does not report that a contended lock was
/// acquired, so every access under such a lock would look like a race.
pub(crate) fn tsan(runner: &mut Runner, whole: bool) -> Result<(), Failed> {
    install::std_source(runner)?;
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
