//! Times the first commands in a fresh clone, without any data.

use crate::readme;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, shell};
use std::fmt::{self, Display};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, process, thread};

/// A folder that is removed on drop.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover folder is harmless: the system clears its temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Duration of one command.
struct Wait {
    clock: Duration,
    /// Processor time of the command and its child processes, on Linux.
    processor: Option<Duration>,
}

/// Durations of the first command, of the second one, and of the second one run again.
struct Waits {
    first: Wait,
    tests: Wait,
    again: Wait,
}

/// Clones `HEAD` into an empty folder and times the README's first two commands there, without
/// fixtures, and the second one again with nothing changed. Packages are fetched beforehand. With
/// `write`, the times are written into the README.
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
        let before = of_children();
        runner.command(&format!("newcomer: {name}"), bare(shell(line)))?;
        let used = before.zip(of_children()).map(|(before, now)| now.saturating_sub(before));
        let wait = Wait { clock: runner.last(), processor: used };
        println!("    {name}: {wait}");
        Ok(wait)
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
        format!(
            "On {cores} cores, with packages fetched, the first command takes {}. The second takes {}, and {} when \
             nothing changed.",
            self.first, self.tests, self.again,
        )
    }
}

impl Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Duration| time.as_secs_f64().round() as u64;
        let clock = seconds(self.clock);
        write!(f, "{} min {:02} s", clock / 60, clock % 60)?;
        self.processor.map_or(Ok(()), |it| write!(f, " ({} s of processor time)", seconds(it)))
    }
}

/// Returns the processor time of all child processes that have been waited for, on Linux.
fn of_children() -> Option<Duration> {
    children_in(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Parses the user and system time of child processes from `/proc/PID/stat`. Its times are in
/// ticks, 100 per second on every platform. The program name, in brackets, may contain spaces.
fn children_in(stat: &str) -> Option<Duration> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut ticks = behind_name.split_whitespace().skip(13).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some(Duration::from_millis(10 * (user + system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_of_children_is_read() {
        let stat = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 1500 250 20 0 1 0 99";
        assert_eq!(children_in(stat), Some(Duration::from_millis(17_500)));
        assert_eq!(children_in("7 (a) S 1 2"), None);
        let spent = |processor| Wait { clock: Duration::from_secs(282), processor }.to_string();
        assert_eq!(spent(None), "4 min 42 s");
        let some = spent(Some(Duration::from_millis(501_700)));
        assert_eq!(some, "4 min 42 s (502 s of processor time)");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_that_computes_counts() {
        let before = of_children().expect("it is there");
        let line = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(shell(line).status().expect("it starts").success());
        assert!(of_children().expect("it is there") > before);
    }
}
