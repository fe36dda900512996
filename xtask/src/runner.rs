//! Runs the steps of a recipe one after the other, with their names and times.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A step did not succeed; what there is to say about it has been printed.
#[derive(Debug)]
pub(crate) struct Failed;

/// One finished step.
struct Done {
    name: String,
    took: Duration,
    outcome: &'static str,
}

/// A command that runs beside the steps, until it is waited for or given up.
pub(crate) struct Beside {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It has ended already, or nobody wants its result any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs steps and keeps their times. The first one that fails ends the recipe.
pub(crate) struct Runner {
    root: PathBuf,
    begun: Instant,
    done: Vec<Done>,
}

impl Runner {
    /// A runner whose commands start in `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, begun: Instant::now(), done: Vec::new() }
    }

    /// The workspace's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs `command` and shows all that it prints.
    pub(crate) fn command(&mut self, name: &str, mut command: Command) -> Result<(), Failed> {
        self.begin(&mut command);
        self.step(name, Some(&Shown(&command).to_string()), || judge(command.status()))
    }

    /// Runs `command` and shows the last line that it prints, or everything if it fails.
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

    /// Starts `command` and goes on; what it prints goes to the file `log`.
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

    /// Waits for a command that was started; shows what it printed if it fails.
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

    /// Makes a check of our own. It returns a line to print, or what is wrong.
    pub(crate) fn check(
        &mut self,
        name: &str,
        check: impl FnOnce(&Path) -> Result<String, String>,
    ) -> Result<(), Failed> {
        let root = self.root.clone();
        self.step(name, None, || check(&root))
    }

    /// Notes that a step is left out.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        println!("==> {name}\n    skipped: {why}");
        self.done.push(Done { name: name.to_owned(), took: Duration::ZERO, outcome: "skipped" });
    }

    /// Prints all steps with their times.
    pub(crate) fn summary(&self) {
        if self.done.len() < 2 {
            return;
        }
        println!("\n{:<44} {:>9}", "step", "seconds");
        for Done { name, took, outcome } in &self.done {
            println!("{name:<44} {:>9.1}  {outcome}", took.as_secs_f64());
        }
        println!("{:<44} {:>9.1}", "all", self.begun.elapsed().as_secs_f64());
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
                "ok"
            }
            Err(why) => {
                println!("    FAILED after {seconds:.1} s: {why}");
                "FAILED"
            }
        };
        self.done.push(Done { name: name.to_owned(), took, outcome });
        result.map(|_| ()).map_err(|_| Failed)
    }
}

fn judge(status: std::io::Result<ExitStatus>) -> Result<String, String> {
    match status {
        Ok(status) if status.success() => Ok(String::new()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("it did not start: {error}")),
    }
}

/// A command as one would type it.
struct Shown<'a>(&'a Command);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={} ", name.display(), quoted(value))?;
            }
        }
        // What cargo calls itself is a long path.
        let program = Path::new(self.0.get_program());
        f.write_str(&quoted(program.file_stem().unwrap_or(self.0.get_program())))?;
        self.0.get_args().try_for_each(|argument| write!(f, " {}", quoted(argument)))
    }
}

fn quoted(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text.into_owned() }
}
