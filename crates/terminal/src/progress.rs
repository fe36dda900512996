//! A progress bar on standard error, shown only on a terminal and only for work that takes a while.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Time after which the bar is shown.
const PATIENCE: Duration = Duration::from_millis(500);

/// Interval at which the bar is redrawn, so that it moves during a long step.
const TICK: Duration = Duration::from_secs(1);

/// Progress over a number of steps.
#[derive(Debug)]
pub struct Progress {
    shown: Arc<Mutex<Shown>>,
    /// Shows the bar after [`PATIENCE`]. `None` if there is no terminal.
    watcher: Option<(SyncSender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shown {
    /// Number of steps; `None` if it is unknown.
    steps: Option<u64>,
    done: u64,
    step: String,
    bar: Option<ProgressBar>,
}

impl Shown {
    fn show(&mut self) {
        let (bar, template) = match self.steps {
            Some(steps) => (ProgressBar::new(steps), "{bar:30} {pos}/{len} {msg} ({elapsed})"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        self.bar = Some(bar);
        self.draw();
    }

    fn draw(&self) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            bar.set_message(self.step.clone());
        }
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress {
    /// Creates a progress over this number of steps.
    #[must_use]
    pub fn new(steps: usize) -> Self {
        Self::of(Some(u64::try_from(steps).unwrap_or(u64::MAX)), io::stderr().is_terminal())
    }

    /// Creates a progress over an unknown number of steps.
    #[must_use]
    pub fn open_ended() -> Self {
        Self::of(None, io::stderr().is_terminal())
    }

    fn of(steps: Option<u64>, visible: bool) -> Self {
        let shown = Shown { steps, done: 0, step: String::new(), bar: None };
        let shown = Arc::new(Mutex::new(shown));
        let watcher = visible.then(|| watch(&shown)).flatten();
        Self { shown, watcher }
    }

    /// Sets the name of the current step.
    pub fn begin(&mut self, step: &str) {
        let mut shown = lock(&self.shown);
        step.clone_into(&mut shown.step);
        shown.draw();
    }

    /// Counts a step as done.
    pub fn end(&mut self) {
        let mut shown = lock(&self.shown);
        shown.done = shown.done.saturating_add(1);
    }

    /// Runs `print` while the bar is hidden.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &lock(&self.shown).bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

/// Shows the bar once the work has taken a while. If no thread can be started, there is no bar.
fn watch(shown: &Arc<Mutex<Shown>>) -> Option<(SyncSender<()>, JoinHandle<()>)> {
    let (ends, ended) = sync_channel(0);
    let shown = Arc::clone(shown);
    let watcher = thread::Builder::new().name("progress".to_owned()).spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            lock(&shown).show();
        }
    });
    watcher.ok().map(|watcher| (ends, watcher))
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((ends, watcher)) = self.watcher.take() {
            drop(ends);
            // The thread only shows the bar; a panic in it does not matter.
            let _ = watcher.join();
        }
        if let Some(bar) = &lock(&self.shown).bar {
            bar.finish_and_clear();
        }
    }
}

/// Runs `work`, and shows `what` on a terminal if it takes a while.
pub fn working<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let mut progress = Progress::open_ended();
    progress.begin(what);
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_step_shows_a_bar_and_a_short_one_none() {
        let mut progress = Progress::of(Some(3), true);
        progress.begin("long");
        assert!(lock(&progress.shown).bar.is_none(), "too early");
        progress.end();
        thread::sleep(PATIENCE * 2);
        let shown = lock(&progress.shown);
        let bar = shown.bar.as_ref().expect("it is shown");
        assert_eq!((bar.position(), bar.message().as_str()), (1, "long"));
        drop(shown);
        progress.begin("next");
        assert_eq!(lock(&progress.shown).bar.as_ref().expect("a bar").position(), 1);
        let printed = progress.aside(|| 7);
        assert_eq!(printed, 7);
    }

    #[test]
    fn without_a_terminal_nothing_is_shown() {
        let mut progress = Progress::of(None, false);
        progress.begin("long");
        thread::sleep(PATIENCE * 2);
        assert!(lock(&progress.shown).bar.is_none());
    }
}
