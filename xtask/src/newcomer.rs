//! What somebody meets who clones the project and has nothing else.

use crate::readme;
use crate::runner::{Failed, Runner};
use crate::workspace::shell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, process};

/// A folder that is gone when this is.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it, and the system clears it in the end.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Clones HEAD into an empty folder and runs the README's first two commands there, without
/// fixtures. With `shares_builds` it builds into this workspace's target folder, which saves the
/// dependencies.
pub(crate) fn newcomer(runner: &mut Runner, shares_builds: bool) -> Result<(), Failed> {
    let scratch = Scratch(env::temp_dir().join(format!("braid-newcomer-{}", process::id())));
    let clone = scratch.0.join("braid");
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--no-hardlinks"]).arg(runner.root()).arg(&clone);
    runner.command("newcomer: clone", git)?;
    let commands = readme::commands(&clone).map_err(|why| {
        println!("{why}");
        Failed
    })?;
    let target = shares_builds.then(|| crate::workspace::target_dir(runner.root()));
    let typed = |line: &str, clone: &Path| {
        let mut command = shell(line);
        command.current_dir(clone);
        for variable in ["BRAID_FIXTURES", "BRAID_REQUIRE_FIXTURES", "CARGO_TARGET_DIR"] {
            command.env_remove(variable);
        }
        if let Some(target) = &target {
            command.env("CARGO_TARGET_DIR", target);
        }
        command
    };
    runner.command("newcomer: first command", typed(&commands.main_job, &clone))?;
    runner.command("newcomer: second command", typed(&commands.tests, &clone))
}
