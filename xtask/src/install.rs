//! Installs programs of others that recipes need.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, shell};
use std::fs;
use std::path::Path;

/// Files that pin the versions of npm packages.
const PINS: [&str; 2] = ["package.json", "package-lock.json"];

/// Installs `cargo-{name}`, unless it is there.
pub(crate) fn subcommand(runner: &mut Runner, name: &str) -> Result<(), Failed> {
    if is_there("cargo", &[name, "--version"]) {
        return Ok(());
    }
    runner.command(&format!("cargo-{name}"), cargo(&format!("install --locked cargo-{name}")))
}

/// Installs the npm packages that the folder `pinned` of the project pins into `folder`, unless an
/// earlier run has installed the same versions, of which `program` is one file.
pub(crate) fn npm(
    runner: &mut Runner,
    pinned: &str,
    folder: &Path,
    program: &str,
) -> Result<(), Failed> {
    let from = runner.root().join(pinned);
    let same = PINS.iter().all(|file| {
        let wanted = fs::read(from.join(file)).ok();
        wanted.is_some() && wanted == fs::read(folder.join(file)).ok()
    });
    if same && folder.join(program).exists() {
        return Ok(());
    }
    runner.check(&format!("{pinned}: folder"), |_| {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        for file in PINS {
            let copied = fs::copy(from.join(file), folder.join(file));
            copied.map_err(|error| error.to_string())?;
        }
        Ok(folder.display().to_string())
    })?;
    npm_ci(runner, pinned, folder)
}

/// Installs the npm packages that `folder` pins there. None of them needs an install script.
pub(crate) fn npm_ci(runner: &mut Runner, name: &str, folder: &Path) -> Result<(), Failed> {
    let mut command = shell("npm ci --ignore-scripts --no-audit --no-fund");
    command.current_dir(folder);
    runner.command(&format!("{name}: packages"), command)
}
