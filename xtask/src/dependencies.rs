//! Checks of the dependencies, with tools that are installed if they are missing.

use crate::install;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, target_dir};
use std::process::Command;
use std::{fs, io};

/// Checks licenses, sources and version requirements of all dependencies.
pub(crate) fn deny(runner: &mut Runner) -> Result<(), Failed> {
    install::subcommand(runner, "deny")?;
    let check = "deny --all-features check bans licenses sources";
    runner.command("dependencies: licenses and sources", cargo(check))
}

/// Checks the dependencies against the database of known vulnerabilities, which changes daily.
pub(crate) fn advisories(runner: &mut Runner) -> Result<(), Failed> {
    install::subcommand(runner, "deny")?;
    let check = "deny --all-features check advisories";
    runner.command("dependencies: known vulnerabilities", cargo(check))
}

/// Files of the shipped tools that cargo-cyclonedx writes.
const BILLS: [&str; 2] = ["crates/cli/braid_bin.cdx.json", "crates/node/braid-node_bin.cdx.json"];

/// Writes a bill of materials in CycloneDX's format for each shipped tool into the target folder.
pub(crate) fn bill(runner: &mut Runner) -> Result<(), Failed> {
    install::subcommand(runner, "cyclonedx")?;
    let write = "cyclonedx --format json --describe binaries --target all";
    runner.command("bill of materials", cargo(write))?;
    runner.check("bill of materials: files", |root| {
        let folder = target_dir(root).join("bill");
        let text = |error: io::Error| error.to_string();
        fs::create_dir_all(&folder).map_err(text)?;
        for bill in BILLS.map(|it| root.join(it)) {
            fs::copy(&bill, folder.join(bill.file_name().unwrap_or_default())).map_err(text)?;
        }
        Ok(folder.display().to_string())
    })?;
    // It writes one file beside each manifest of the workspace.
    let mut clean = Command::new("git");
    clean.args(["clean", "-fqX", "--", "*.cdx.json"]);
    runner.command("bill of materials: clean up", clean)
}
