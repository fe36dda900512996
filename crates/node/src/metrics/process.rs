//! Metrics of the process, and CPU time of its workers while a block executes.

use super::text::Text;
use braid_terminal::PROFILE;
use cpu_time::{ProcessTime, ThreadTime};
use std::{
    fs::{self, File},
    io::{Read, Seek},
    time::{Duration, Instant},
};

/// Writes the metrics that Prometheus expects of every process, and information on the build.
pub(super) fn process(text: &mut Text) {
    if let Ok(time) = ProcessTime::try_now() {
        let name = "process_cpu_seconds_total";
        text.family(name, "counter", "User and system time of the process.");
        text.sample(name, &[], time.as_duration().as_secs_f64());
    }
    if let Some(bytes) = resident_bytes() {
        let name = "process_resident_memory_bytes";
        text.family(name, "gauge", "Resident memory of the process.");
        text.sample(name, &[], bytes);
    }
    let name = "braid_build_info";
    text.family(name, "gauge", "Version and build profile of the tool.");
    text.sample(name, &[("version", env!("CARGO_PKG_VERSION")), ("profile", PROFILE)], 1);
}

/// Returns the resident memory in bytes; `None` if the system does not report it.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Measures the CPU time of an executor's workers: of the calling thread, and of the threads that
/// the executor has started.
#[derive(Debug)]
pub struct WorkerClock {
    workers: u16,
    /// The system's statistics of each started thread, once the thread has its name.
    threads: Vec<File>,
    /// The names of the executor's threads are this and a number.
    prefix: &'static str,
}

/// Start of a block's execution.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    at: Instant,
    /// CPU time of the workers at the start; `None` if the system does not report it.
    busy: Option<Duration>,
}

/// Duration of a block's execution.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// Wall-clock time.
    pub time: Duration,
    /// CPU time of the workers; `None` if the system does not report it.
    pub busy: Option<Duration>,
    /// Wall-clock time available to all workers: `time` multiplied by their number.
    pub given: Duration,
}

impl WorkerClock {
    /// Creates the clock of an executor with this number of workers, which are threads of this
    /// process.
    #[must_use]
    pub fn new(workers: u16) -> Self {
        Self { workers, threads: Vec::new(), prefix: "braid-" }
    }

    /// Starts measuring a block, which executes on the calling thread.
    pub fn begin(&mut self) -> Begun {
        if self.threads.len() + 1 < usize::from(self.workers) {
            self.threads = started(self.prefix);
        }
        Begun { at: Instant::now(), busy: self.busy() }
    }

    /// Returns the measurements at the end of the block.
    #[must_use]
    pub fn end(&self, begun: Begun) -> Took {
        let time = begun.at.elapsed();
        let busy = self.busy().zip(begun.busy).map(|(end, begin)| end.saturating_sub(begin));
        Took { time, busy, given: time.saturating_mul(u32::from(self.workers)) }
    }

    fn busy(&self) -> Option<Duration> {
        if self.threads.len() + 1 < usize::from(self.workers) {
            return None;
        }
        let own = ThreadTime::try_now().ok()?.as_duration();
        let others = self.threads.iter().map(run_time).sum::<Option<Duration>>()?;
        own.checked_add(others)
    }
}

/// Opens the statistics of each thread of this process whose name is `prefix` and a number. Empty if
/// the system does not report them.
fn started(prefix: &str) -> Vec<File> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let is_worker = |name: &str| {
        let number = name.trim().strip_prefix(prefix);
        number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let tasks = tasks.map(|task| task.path());
    tasks
        .filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| is_worker(&name)))
        .filter_map(|task| File::open(task.join("schedstat")).ok())
        .collect()
}

/// Returns the time for which a thread has run. Linux updates it when the thread stops running.
fn run_time(mut schedstat: &File) -> Option<Duration> {
    let mut text = String::new();
    schedstat.rewind().ok()?;
    schedstat.read_to_string(&mut text).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::WorkerClock;
    use std::{hint::black_box, sync::mpsc, thread, time::Duration};

    fn spin(time: Duration) {
        let begun = cpu_time::ThreadTime::now();
        while begun.elapsed() < time {
            black_box(0);
        }
    }

    #[test]
    fn threads_of_an_executor_count_and_others_do_not() {
        const WORK: Duration = Duration::from_millis(40);
        let (done, wait) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let work = move || {
            done.send(()).unwrap();
            gone.recv().unwrap();
            spin(WORK);
            done.send(()).unwrap();
            let _ = gone.recv();
        };
        let worker = thread::Builder::new().name("clock-61234".to_owned()).spawn(work).unwrap();
        wait.recv().unwrap();
        // Executors of other tests have threads in this process, too, which end at any time.
        let mut clock = WorkerClock { prefix: "clock-", ..WorkerClock::new(2) };
        let begun = clock.begin();
        let other = thread::Builder::new().name("other".to_owned()).spawn(|| spin(3 * WORK));
        go.send(()).unwrap();
        wait.recv().unwrap();
        other.unwrap().join().unwrap();
        // The worker sleeps now, so its run time is up to date.
        let took = clock.end(begun);
        drop(go);
        worker.join().unwrap();
        let busy = took.busy.expect("Linux tells");
        assert!(busy >= WORK && busy < 3 * WORK, "{took:?}");
        assert_eq!(took.given, 2 * took.time);
    }
}
