//! Paths of the workspace, and helpers for commands.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Platform of instrumented builds. Naming it keeps their flags away from build scripts.
pub(crate) const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Returns the root of the workspace, which is the parent of this package.
pub(crate) fn root() -> PathBuf {
    // A target directory outside the checkout may contain a build of another one; cargo's variable
    // names the one that runs.
    let package =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let package = Path::new(&package);
    package.parent().unwrap_or(package).to_owned()
}

/// Returns the target folder of cargo.
pub(crate) fn target_dir(root: &Path) -> PathBuf {
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Returns `cargo` with these arguments, separated by spaces.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.split_whitespace());
    command
}

/// Returns a command that runs `line` in the shell.
pub(crate) fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    command
}

/// Appends `flags` to an environment variable of flags.
pub(crate) fn add_flags(command: &mut Command, variable: &str, flags: &str) {
    let before = env::var(variable).unwrap_or_default();
    command.env(variable, format!("{before} {flags}").trim());
}

/// Runs `command`, and returns its output.
pub(crate) fn output(mut command: Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{name} did not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{name}: {error}"))
}

/// Returns whether `program arguments` succeeds.
pub(crate) fn is_there(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Returns the folder of real blocks: `blocks` in `BRAID_FIXTURES`, by default `../shared`. Returns
/// `Ok(None)` if it is missing and may be.
pub(crate) fn fixtures(root: &Path) -> Result<Option<PathBuf>, String> {
    let blocks = fixture(root, "blocks");
    if blocks.is_dir() {
        return Ok(Some(blocks));
    }
    may_be_missing(&blocks).map(|()| None)
}

/// Returns whether the archive of official suites exists; fails if it is missing and must not be.
pub(crate) fn suites_archive(root: &Path) -> Result<bool, String> {
    let archive = fixture(root, "ethereum-tests.tar.gz");
    if archive.is_file() {
        return Ok(true);
    }
    may_be_missing(&archive).map(|()| false)
}

fn fixture(root: &Path, name: &str) -> PathBuf {
    let fixtures = env::var_os("BRAID_FIXTURES").unwrap_or_else(|| "../shared".into());
    root.join(fixtures).join(name)
}

fn may_be_missing(path: &Path) -> Result<(), String> {
    if env::var_os("BRAID_REQUIRE_FIXTURES").is_some_and(|value| value == "1") {
        return Err(format!("BRAID_REQUIRE_FIXTURES=1, but there is no {}", path.display()));
    }
    Ok(())
}
