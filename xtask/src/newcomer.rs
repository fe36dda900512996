//! How long the first commands take in a fresh clone, without any data.

use crate::readme;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, shell};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, process, thread};

/// A folder that is removed with this value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it, and the system clears it in the end.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How long a newcomer waits.
struct Waits {
    first: Duration,
    tests: Duration,
    again: Duration,
}

/// Clones `HEAD` into an empty folder and times the README's first two commands there, without fixtures; the second
/// one once more with nothing changed. Packages are fetched before. With `write` the times go into the README.
pub(crate) fn newcomer(runner: &mut Runner, write: bool) -> Result<(), Failed> {
    let scratch = Scratch(env::temp_dir().join(format!("braid-newcomer-{}", process::id())));
    let clone = scratch.0.join("braid");
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--no-hardlinks"]).arg(runner.root()).arg(&clone);
    runner.command("newcomer: clone", git)?;
    let commands = readme::commands(&clone).map_err(|why| {
        println!("{why}");
        Failed
    })?;
    let bare = |mut command: Command| {
        command.current_dir(&clone);
        for (name, _) in env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("BRAID_") || name_text.starts_with("CARGO_") {
                command.env_remove(&name);
            }
        }
        command
    };
    runner.command("newcomer: fetch packages", bare(cargo("fetch --locked")))?;
    let mut timed = |name: &str, line: &str| {
        runner.command(&format!("newcomer: {name}"), bare(shell(line)))?;
        Ok(runner.last())
    };
    let waits = Waits {
        first: timed("first command", &commands.main_job)?,
        tests: timed("second command", &commands.tests)?,
        again: timed("second command again", &commands.tests)?,
    };
    if write {
        runner.check("newcomer: README", |root| {
            let path = root.join("README.md");
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let text = readme::with_waits(&text, &waits.in_words())?;
            fs::write(&path, text).map_err(|error| error.to_string())?;
            Ok(waits.in_words())
        })?;
    }
    Ok(())
}

impl Waits {
    fn in_words(&self) -> String {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let minutes = |time: Duration| {
            let seconds = time.as_secs_f64().round() as u64;
            format!("{} min {:02} s", seconds / 60, seconds % 60)
        };
        format!(
            "On {cores} cores, with packages fetched, the first command takes {}. The second takes {}, and {} when \
             nothing changed.",
            minutes(self.first),
            minutes(self.tests),
            minutes(self.again),
        )
    }
}
