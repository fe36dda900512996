//! A progress bar on the standard error stream, for work that takes a while, on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

/// Work that is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// Progress over steps.
#[derive(Debug)]
pub(super) struct Progress {
    /// `None` if it is unknown how many there will be.
    steps: Option<u64>,
    done: u64,
    started: Instant,
    bar: Option<ProgressBar>,
    visible: bool,
}

impl Progress {
    pub(super) fn new(steps: usize) -> Self {
        Self::of(Some(u64::try_from(steps).unwrap_or(u64::MAX)))
    }

    /// Progress over steps that are not counted beforehand.
    pub(super) fn open_ended() -> Self {
        Self::of(None)
    }

    fn of(steps: Option<u64>) -> Self {
        Self {
            steps,
            done: 0,
            started: Instant::now(),
            bar: None,
            visible: io::stderr().is_terminal(),
        }
    }

    /// Names the step that begins, and shows the bar once the work has taken a while.
    pub(super) fn begin(&mut self, step: &str) {
        if self.visible && self.bar.is_none() && self.started.elapsed() >= PATIENCE {
            let (bar, template) = match self.steps {
                Some(steps) => (ProgressBar::new(steps), "{bar:30} {pos}/{len} {msg}"),
                None => (ProgressBar::new_spinner(), "{spinner} {pos} {msg}"),
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            bar.set_message(step.to_owned());
        }
    }

    /// Counts a step as done.
    pub(super) fn end(&mut self) {
        self.done = self.done.saturating_add(1);
    }

    /// Runs `print` while the bar is out of the way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
