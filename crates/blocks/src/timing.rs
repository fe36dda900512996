//! Wall time and processor time of one execution.

use crate::statistics::median_time;
use cpu_time::ProcessTime;
use std::{
    ops::AddAssign,
    thread,
    time::{Duration, Instant},
};

/// Times of one execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Wall time until the result can be used.
    pub wall: Duration,
    /// User and system time of all threads of the process, until everything is dropped.
    pub cpu: Duration,
}

impl Times {
    /// Returns the medians of wall and processor time, each on its own.
    pub fn median(times: impl Iterator<Item = Self> + Clone) -> Self {
        Self {
            wall: median_time(times.clone().map(|times| times.wall)),
            cpu: median_time(times.map(|times| times.cpu)),
        }
    }
}

impl AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

/// How often a block is timed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Number of rounds.
    pub rounds: u32,
    /// Pause before each timed run. When a node receives a block, its threads sleep and its caches
    /// are cold.
    pub pause: Duration,
}

/// The pauses around a timed execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// Pause before it: threads fall asleep and caches cool, as between two blocks of a node.
    pub before: Duration,
    /// Pause after it: a system may count the time of a thread only once the thread stops, so
    /// threads must be asleep when processor time is read.
    pub after: Duration,
}

impl Pauses {
    /// Longest pause after an execution.
    const AFTER: Duration = Duration::from_millis(2);

    /// Pauses for `before` ahead of an execution, and for at most 2 ms after it; zero means no pause
    /// at all.
    #[must_use]
    pub fn new(before: Duration) -> Self {
        Self { before, after: before.min(Self::AFTER) }
    }
}

/// Times `work` between two pauses; it returns its result and everything to be dropped. Processor
/// time includes the second pause, during which workers poll for work before they sleep.
pub fn timed<T, L>(pauses: Pauses, work: impl FnOnce() -> (T, L)) -> (T, Times) {
    rest(pauses.before);
    let before = processor_time();
    let start = Instant::now();
    let (result, left) = work();
    let wall = start.elapsed();
    drop(left);
    rest(pauses.after);
    (result, Times { wall, cpu: processor_time().saturating_sub(before) })
}

/// Times `work`, whose result nobody needs.
pub fn times_of<L>(pauses: Pauses, work: impl FnOnce() -> L) -> Times {
    timed(pauses, || ((), work())).1
}

/// Lets threads fall asleep and caches cool.
pub fn rest(pause: Duration) {
    if !pause.is_zero() {
        thread::sleep(pause);
    }
}

/// Returns the user and system time of all threads of this process; zero if the system does not
/// report it.
#[must_use]
pub fn processor_time() -> Duration {
    ProcessTime::try_now().map_or(Duration::ZERO, |time| time.as_duration())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpu_time::ThreadTime;
    use std::{env, hint::black_box, process::Command};

    /// Processor time that a thread uses after the result is available.
    const WORK: Duration = Duration::from_millis(100);

    /// Times a run that leaves such a thread running.
    fn left_behind(after: Duration) -> Times {
        let work = || {
            let begun = ThreadTime::now();
            while begun.elapsed() < WORK {
                black_box(0);
            }
        };
        // The handle is dropped with the result, and the thread goes on.
        times_of(Pauses { before: Duration::ZERO, after }, || thread::spawn(work))
    }

    /// Processor time is that of the process, so nothing else may run in it.
    #[test]
    fn processor_time_ends_with_the_pause() {
        let mut child = Command::new(env::current_exe().expect("it"));
        child.args(["--exact", "timing::tests::child_that_leaves_a_thread_behind"]);
        let output = child.args(["--ignored", "--nocapture"]).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    #[ignore = "the process of `processor_time_ends_with_the_pause`"]
    fn child_that_leaves_a_thread_behind() {
        let waited = left_behind(Duration::from_secs(5));
        assert!(waited.cpu >= WORK && waited.wall < Duration::from_secs(5), "{waited:?}");
        let not_waited = left_behind(Duration::ZERO);
        assert!(not_waited.cpu < WORK, "{not_waited:?}");
    }

    #[test]
    fn medians_are_taken_one_by_one() {
        let times = [(1, 9), (5, 7), (3, 8)].map(|(wall, cpu)| Times {
            wall: Duration::from_millis(wall),
            cpu: Duration::from_millis(cpu),
        });
        let middle = Times::median(times.into_iter());
        assert_eq!(middle.wall, Duration::from_millis(3));
        assert_eq!(middle.cpu, Duration::from_millis(8));
        assert_eq!(Times::median(std::iter::empty()).wall, Duration::ZERO);
    }
}
