//! Times one execution.

use braid_blocks::{
    block::Block,
    sequential::{OneJournal, Plain},
};
use braid_evm::Executor;
use cpu_time::ProcessTime;
use revm::DatabaseRef;
use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

/// Times of one execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Wall time until the result can be used.
    pub wall: Duration,
    /// User and system time of all threads, until everything is dropped.
    pub cpu: Duration,
}

/// Times `run` between two pauses; it returns its result and everything to be dropped. Processor
/// time includes the second pause, during which workers poll for work before they sleep.
pub fn between<R>((before, behind): (Duration, Duration), run: impl FnOnce() -> R) -> Sample {
    rest(before);
    let (cpu, start) = (processor_time(), Instant::now());
    let result = run();
    let wall = start.elapsed();
    drop(result);
    rest(behind);
    Sample { wall, cpu: processor_time().saturating_sub(cpu) }
}

/// Longest pause behind a run: a system may count the time of a thread only once the thread stops,
/// so threads must be asleep when processor time is read.
const BEHIND: Duration = Duration::from_millis(2);

/// Returns the pauses before and behind a run; none behind a run without a pause before it.
pub(super) fn pauses(before: Duration) -> (Duration, Duration) {
    (before, before.min(BEHIND))
}

/// Lets threads fall asleep and caches cool, as between two blocks of a node.
fn rest(pause: Duration) {
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

/// Times the baseline, [`Plain`], after a pause.
pub fn sequential<D: DatabaseRef>(block: &Block, database: D, pause: Duration) -> Sample {
    sequential_between(block, database, pauses(pause))
}

/// Times the baseline between two pauses.
pub fn sequential_between<D: DatabaseRef>(
    block: &Block,
    database: D,
    pauses: (Duration, Duration),
) -> Sample {
    let plain = Plain::new(block);
    between(pauses, || plain.run_keeping(database))
}

/// Times one journal for the block, [`OneJournal`], after a pause.
pub(super) fn journal<D: DatabaseRef>(block: &Block, database: D, pause: Duration) -> Sample {
    let journal = OneJournal::new(block);
    between(pauses(pause), || journal.run_keeping(database))
}

/// Times Braid after a pause.
pub fn parallel<D>(
    executor: &mut Executor,
    block: &Arc<braid_evm::Block>,
    database: D,
    pause: Duration,
) -> Sample
where
    D: DatabaseRef + Clone + Send + Sync + 'static,
{
    parallel_between(executor, block, database, pauses(pause))
}

/// Times Braid between two pauses.
pub fn parallel_between<D>(
    executor: &mut Executor,
    block: &Arc<braid_evm::Block>,
    database: D,
    pauses: (Duration, Duration),
) -> Sample
where
    D: DatabaseRef + Clone + Send + Sync + 'static,
{
    let block = Arc::clone(block);
    between(pauses, || executor.block(block).database(database).execute())
}

/// The two halves of a block, which run concurrently, each on its own `State`, and are not merged.
/// On two cores, no concurrency control with one `State` per thread can be faster.
///
/// The second half starts from the state before the block, so nonces are not checked.
#[derive(Clone, Debug)]
pub(super) struct Halves([Block; 2]);

impl Halves {
    pub(super) fn of(block: &Block) -> Self {
        let mut first = block.clone();
        first.rules.system_calls = false;
        first.cfg.disable_nonce_check = true;
        let second = first.transactions.split_off(first.transactions.len() / 2);
        let other = Block { transactions: second, withdrawals: None, ..first.clone() };
        Self([first, other])
    }

    /// Returns `None` if a transaction is invalid without the other half.
    pub(super) fn run<D: DatabaseRef + Clone + Send>(
        &self,
        database: &D,
        pause: Duration,
    ) -> Option<Sample> {
        at_once(&self.0.each_ref(), database, pause)
    }
}

/// Times `count` concurrent sequential executions of `block`, to see how much the cores of this
/// machine slow each other down.
pub(super) fn copies<D: DatabaseRef + Clone + Send>(
    block: &Block,
    count: u16,
    database: &D,
    pause: Duration,
) -> Option<Sample> {
    at_once(&vec![block; count.into()], database, pause)
}

/// Executes all blocks concurrently, on a thread each, until all are done. `None` if one is
/// invalid.
fn at_once<D: DatabaseRef + Clone + Send>(
    blocks: &[&Block],
    database: &D,
    pause: Duration,
) -> Option<Sample> {
    rest(pause);
    let barrier = Barrier::new(blocks.len());
    let cpu = processor_time();
    let times: Option<Vec<_>> = thread::scope(|scope| {
        let barrier = &barrier;
        let threads = blocks.iter().copied().map(|block| {
            let theirs = database.clone();
            scope.spawn(move || one_of_many(block, theirs, barrier))
        });
        // All threads start before the first is joined.
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().ok().flatten()).collect()
    });
    let times = times?;
    let (start, end) = (times.iter().map(|it| it.0).min()?, times.iter().map(|it| it.1).max()?);
    let wall = end.saturating_duration_since(start);
    Some(Sample { wall, cpu: processor_time().saturating_sub(cpu) })
}

/// Waits until all threads are ready, then executes; returns when it started and ended.
fn one_of_many<D: DatabaseRef>(
    block: &Block,
    database: D,
    barrier: &Barrier,
) -> Option<(Instant, Instant)> {
    let plain = Plain::new(block);
    barrier.wait();
    let start = Instant::now();
    let (result, left) = plain.run_keeping(database);
    let end = Instant::now();
    let fine = result.is_ok();
    drop((result, left));
    fine.then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpu_time::ThreadTime;
    use std::{env, hint::black_box, process::Command};

    /// Processor time that a thread uses after the result is available.
    const WORK: Duration = Duration::from_millis(100);

    /// Times a run that leaves such a thread running.
    fn left_behind(behind: Duration) -> Sample {
        let work = || {
            let begun = ThreadTime::now();
            while begun.elapsed() < WORK {
                black_box(0);
            }
        };
        // The handle is dropped with the result, and the thread goes on.
        between((Duration::ZERO, behind), || thread::spawn(work))
    }

    /// Processor time is that of the process, so nothing else may run in it.
    #[test]
    fn processor_time_ends_with_the_pause_behind() {
        let mut child = Command::new(env::current_exe().expect("it"));
        child.args(["--exact", "bench::runs::tests::child_that_leaves_a_thread_behind"]);
        let output = child.args(["--ignored", "--nocapture"]).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    #[ignore = "the process of `processor_time_ends_with_the_pause_behind`"]
    fn child_that_leaves_a_thread_behind() {
        let waited = left_behind(Duration::from_secs(5));
        assert!(waited.cpu >= WORK && waited.wall < Duration::from_secs(5), "{waited:?}");
        let not_waited = left_behind(Duration::ZERO);
        assert!(not_waited.cpu < WORK, "{not_waited:?}");
    }
}
