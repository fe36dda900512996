//! What a release takes.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, output};
use std::process::Command;

/// Packages library and tool and builds both out of their packages; compares the interface with the
/// last release's, if there is one and cargo-semver-checks is installed.
pub(crate) fn package(runner: &mut Runner) -> Result<(), Failed> {
    let publish = "publish --dry-run --locked --allow-dirty -p braid-evm -p braid-cli";
    runner.command("package", cargo(publish))?;
    let mut last = Command::new("git");
    last.args(["describe", "--tags", "--abbrev=0"]).current_dir(runner.root());
    let Ok(tag) = output(last) else {
        runner.skip("interface", "nothing has been released that it could be compared with");
        return Ok(());
    };
    if !is_there("cargo", &["semver-checks", "--version"]) {
        let why =
            "cargo-semver-checks is not installed (cargo install --locked cargo-semver-checks)";
        runner.skip("interface", why);
        return Ok(());
    }
    let check = format!("semver-checks -p braid-evm --baseline-rev {}", tag.trim());
    runner.command("interface", cargo(&check))
}
