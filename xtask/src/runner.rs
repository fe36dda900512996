//! Runs the steps of a recipe in sequence, and prints their names and times.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const OK: &str = "ok";
const FAILED: &str = "FAILED";
const SKIPPED: &str = "skipped";

/// File of the seconds that steps may take on two cores without a cache, below the workspace's
/// root.
const BUDGETS: &str = "xtask/budgets.txt";

/// A step failed, and the reason has been printed.
#[derive(Debug)]
pub(crate) struct Failed;

/// A finished step.
#[derive(Debug)]
struct Done {
    name: String,
    took: Duration,
    outcome: &'static str,
}

/// A background command, which is killed if it is dropped before it ends.
pub(crate) struct Beside {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Both fail if the command has ended; its result is not needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs steps and records their times. The first failure ends the recipe, unless it runs in parts.
pub(crate) struct Runner {
    root: PathBuf,
    begun: Instant,
    done: Vec<Done>,
    has_failed: bool,
    /// Maximum seconds of steps, by prefix of their names.
    budgets: Option<Budgets>,
}

impl Runner {
    /// Creates a runner whose commands start in `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, begun: Instant::now(), done: Vec::new(), has_failed: false, budgets: None }
    }

    /// Returns the root of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs `command` and shows its output.
    pub(crate) fn command(&mut self, name: &str, mut command: Command) -> Result<(), Failed> {
        self.begin(&mut command);
        self.step(name, Some(&Shown(&command).to_string()), || judge(command.status()))
    }

    /// Runs `command` and shows the last line of its output, or all of it if the command fails.
    pub(crate) fn quietly(&mut self, name: &str, mut command: Command) -> Result<(), Failed> {
        self.begin(&mut command);
        let shown = Shown(&command).to_string();
        self.step(name, Some(&shown), || {
            let output = command.stderr(Stdio::inherit()).output();
            let output = output.map_err(|error| format!("it did not start: {error}"))?;
            let text = String::from_utf8_lossy(&output.stdout);
            if !output.status.success() {
                print!("{text}");
                return judge(Ok(output.status));
            }
            Ok(text.lines().last().unwrap_or_default().trim().to_owned())
        })
    }

    /// Starts `command` in the background, with its output in the file `log`.
    pub(crate) fn start(
        &mut self,
        name: &str,
        mut command: Command,
        log: PathBuf,
    ) -> Result<Beside, Failed> {
        self.begin(&mut command);
        println!("==> {name}, beside what follows\n    $ {}", Shown(&command));
        let started = File::create(&log).and_then(|file| {
            command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()
        });
        match started {
            Ok(child) => Ok(Beside { name: name.to_owned(), child, log }),
            Err(error) => {
                println!("    FAILED: {error}");
                Err(Failed)
            }
        }
    }

    /// Waits for a background command, and shows its output if it fails.
    pub(crate) fn wait(&mut self, mut beside: Beside) -> Result<(), Failed> {
        let name = format!("{}, the rest of it", beside.name);
        self.step(&name, None, || {
            let status = beside.child.wait();
            if !status.as_ref().is_ok_and(ExitStatus::success) {
                print!("{}", fs::read_to_string(&beside.log).unwrap_or_default());
            }
            judge(status)
        })
    }

    /// Runs a check in this process. It returns a line to print, or the reason of the failure.
    pub(crate) fn check(
        &mut self,
        name: &str,
        check: impl FnOnce(&Path) -> Result<String, String>,
    ) -> Result<(), Failed> {
        let root = self.root.clone();
        self.step(name, None, || check(&root))
    }

    /// Records that a step is skipped.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        println!("==> {name}\n    skipped: {why}");
        self.done.push(Done { name: name.to_owned(), took: Duration::ZERO, outcome: SKIPPED });
    }

    /// Compares the steps with their budgets in `xtask/budgets.txt`.
    pub(crate) fn keep_to_budgets(&mut self) {
        self.budgets = fs::read_to_string(self.root.join(BUDGETS)).ok().map(|it| Budgets::new(&it));
    }

    /// Returns the duration of the last step.
    pub(crate) fn last(&self) -> Duration {
        self.done.last().map_or(Duration::ZERO, |done| done.took)
    }

    /// Runs `part` and continues if it fails; [`parts`](Self::parts) reports the failure.
    pub(crate) fn part(&mut self, part: impl FnOnce(&mut Self) -> Result<(), Failed>) {
        self.has_failed |= part(self).is_err();
    }

    /// Returns an error if any [`part`](Self::part) failed.
    pub(crate) fn parts(&self) -> Result<(), Failed> {
        if self.has_failed { Err(Failed) } else { Ok(()) }
    }

    /// Prints all steps with their seconds and their shares, then each budget that was exceeded.
    pub(crate) fn summary(&self) {
        if self.done.len() < 2 {
            return;
        }
        let all = self.begun.elapsed().as_secs_f64();
        println!("\n{:<44} {:>7} {:>6}", "step", "seconds", "share");
        for Done { name, took, outcome } in &self.done {
            let seconds = took.as_secs_f64();
            let share = 100.0 * seconds / all.max(0.1);
            println!("{name:<44} {seconds:>7.1} {share:>5.1}%  {outcome}");
        }
        println!("{:<44} {all:>7.1}", "all");
        if let Some(budgets) = &self.budgets {
            let steps = self.done.iter().map(|it| (it.name.as_str(), it.took.as_secs_f64()));
            for (name, seconds, budget) in budgets.exceeded(steps) {
                println!("{name:<44} {seconds:>7.1}  over the budget of {budget} s");
            }
        }
    }

    /// Prints the failures and the total time, in short lines for a narrow screen.
    pub(crate) fn headline(&self) {
        let count = |outcome| self.done.iter().filter(|done| done.outcome == outcome).count();
        let minutes = self.begun.elapsed().as_secs() / 60;
        let (failed, skipped) = (count(FAILED), count(SKIPPED));
        let passed = failed == 0 && !self.has_failed;
        println!("\n{}, {minutes} min", if passed { "PASSED" } else { FAILED });
        println!("{} ok, {failed} failed, {skipped} skipped", count(OK));
        for outcome in [FAILED, SKIPPED] {
            for done in self.done.iter().filter(|done| done.outcome == outcome) {
                println!("{outcome}: {:.30}", done.name);
            }
        }
    }

    fn begin(&self, command: &mut Command) {
        if command.get_current_dir().is_none() {
            command.current_dir(&self.root);
        }
    }

    fn step(
        &mut self,
        name: &str,
        shown: Option<&str>,
        run: impl FnOnce() -> Result<String, String>,
    ) -> Result<(), Failed> {
        println!("==> {name}");
        if let Some(shown) = shown {
            println!("    $ {shown}");
        }
        let begun = Instant::now();
        let result = run();
        let took = begun.elapsed();
        let seconds = took.as_secs_f64();
        let outcome = match &result {
            Ok(said) => {
                if !said.is_empty() {
                    println!("    {said}");
                }
                println!("    ok, {seconds:.1} s");
                OK
            }
            Err(why) => {
                println!("    FAILED after {seconds:.1} s: {why}");
                FAILED
            }
        };
        self.done.push(Done { name: name.to_owned(), took, outcome });
        result.map(|_| ()).map_err(|_| Failed)
    }
}

/// Seconds that steps may take together, by the beginning of their names.
#[derive(Debug)]
struct Budgets(Vec<(String, f64)>);

impl Budgets {
    fn new(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let entry = |line: &str| {
            let (seconds, name) = line.trim().split_once(' ')?;
            Some((name.trim().to_owned(), seconds.parse().ok()?))
        };
        Self(lines.filter_map(entry).collect())
    }

    fn total(&self) -> f64 {
        self.0.iter().map(|(_, seconds)| seconds).sum()
    }

    /// Returns the budgets that these steps exceed, with the seconds that they took. A step counts
    /// towards the longest name with which its own begins, and all of them towards the total.
    fn exceeded<'a>(&self, steps: impl Iterator<Item = (&'a str, f64)>) -> Vec<(&str, f64, f64)> {
        let mut took = vec![0.0; self.0.len()];
        let mut all = 0.0;
        for (step, seconds) in steps {
            let matching =
                self.0.iter().enumerate().filter(|(_, (name, _))| step.starts_with(name));
            if let Some((at, _)) = matching.max_by_key(|(_, (name, _))| name.len()) {
                took[at] += seconds;
            }
            all += seconds;
        }
        let each = self.0.iter().zip(took).map(|((name, budget), took)| (&**name, took, *budget));
        let total = [("all", all, self.total())];
        each.chain(total).filter(|(_, took, budget)| took > budget).collect()
    }
}

fn judge(status: std::io::Result<ExitStatus>) -> Result<String, String> {
    match status {
        Ok(status) if status.success() => Ok(String::new()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("it did not start: {error}")),
    }
}

/// Displays a command as typed in a shell.
struct Shown<'a>(&'a Command);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={} ", name.display(), quoted(value))?;
            }
        }
        // The path of cargo itself is long.
        let program = Path::new(self.0.get_program());
        f.write_str(&quoted(program.file_stem().unwrap_or(self.0.get_program())))?;
        self.0.get_args().try_for_each(|argument| write!(f, " {}", quoted(argument)))
    }
}

fn quoted(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::{BUDGETS, Budgets};
    use crate::workspace::root;

    #[test]
    fn steps_share_the_budget_of_the_longest_name() {
        let budgets = Budgets::new("# seconds name\n20 clippy\n90 clippy: everything\n");
        assert_eq!(budgets.total(), 110.0);
        let fits = [("clippy: everything", 80.0), ("clippy: engine", 15.0), ("clippy: one", 5.0)];
        assert!(budgets.exceeded(fits.into_iter()).is_empty());
        let more = [("clippy: engine", 15.0), ("clippy: one", 6.0), ("loom", 100.0)];
        let over = budgets.exceeded(more.into_iter());
        assert_eq!(over, [("clippy", 21.0, 20.0), ("all", 121.0, 110.0)]);
    }

    /// A CI that takes longer is waited for by nobody.
    #[test]
    fn the_budgets_add_up_to_forty_minutes() {
        let budgets = Budgets::new(&std::fs::read_to_string(root().join(BUDGETS)).unwrap());
        assert!(budgets.total() <= 2_400.0, "{} s", budgets.total());
    }
}
