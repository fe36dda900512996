//! The process: what it uses, and what its workers do while a block executes.

use super::text::Text;
use braid_terminal::PROFILE;
use cpu_time::{ProcessTime, ThreadTime};
use std::{
    fs::{self, File},
    io::{Read, Seek},
    time::{Duration, Instant},
};

/// What Prometheus expects of every process, and the build.
pub(super) fn process(text: &mut Text) {
    if let Ok(time) = ProcessTime::try_now() {
        let name = "process_cpu_seconds_total";
        text.family(name, "counter", "User and system time of the process.");
        text.sample(name, &[], time.as_duration().as_secs_f64());
    }
    if let Some(bytes) = resident_bytes() {
        let name = "process_resident_memory_bytes";
        text.family(name, "gauge", "Memory of the process that is in use.");
        text.sample(name, &[], bytes);
    }
    let name = "braid_build_info";
    text.family(name, "gauge", "Version of the tool and profile of its build.");
    text.sample(name, &[("version", env!("CARGO_PKG_VERSION")), ("profile", PROFILE)], 1);
}

/// `None` where the system does not tell.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Processor time of the workers of an executor: the calling thread and the threads that the
/// executor has started.
#[derive(Debug)]
pub struct WorkerClock {
    workers: u16,
    /// What the system tells of each started thread, once it has its name.
    threads: Vec<File>,
}

/// When a block began.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    at: Instant,
    /// Processor time until then, where the system tells.
    busy: Option<Duration>,
}

/// How long a block took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// By the clock.
    pub time: Duration,
    /// Processor time of its workers. `None` where the system does not tell.
    pub busy: Option<Duration>,
    /// What all workers together were given: `time`, once for each.
    pub given: Duration,
}

impl WorkerClock {
    /// The clock of an executor with this number of workers, which are threads of this process.
    #[must_use]
    pub fn new(workers: u16) -> Self {
        Self { workers, threads: Vec::new() }
    }

    /// A block begins on the calling thread.
    pub fn begin(&mut self) -> Begun {
        if self.threads.len() + 1 < usize::from(self.workers) {
            self.threads = started();
        }
        Begun { at: Instant::now(), busy: self.busy() }
    }

    /// It has ended.
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

/// Of each thread that an executor of this process has started. Empty where the system does not tell.
fn started() -> Vec<File> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let is_worker = |name: &str| {
        let number = name.trim().strip_prefix("braid-");
        number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let tasks = tasks.map(|task| task.path());
    tasks
        .filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| is_worker(&name)))
        .filter_map(|task| File::open(task.join("schedstat")).ok())
        .collect()
}

/// Time that a thread has run. Linux brings it up to date when the thread stops running.
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
        let worker = thread::Builder::new().name("braid-61234".to_owned()).spawn(work).unwrap();
        wait.recv().unwrap();
        let mut clock = WorkerClock::new(2);
        let begun = clock.begin();
        let other = thread::Builder::new().name("other".to_owned()).spawn(|| spin(3 * WORK));
        go.send(()).unwrap();
        wait.recv().unwrap();
        other.unwrap().join().unwrap();
        // Now the worker sleeps, and its time is known.
        let took = clock.end(begun);
        drop(go);
        worker.join().unwrap();
        let busy = took.busy.expect("Linux tells");
        assert!(busy >= WORK && busy < 3 * WORK, "{took:?}");
        assert_eq!(took.given, 2 * took.time);
    }
}
