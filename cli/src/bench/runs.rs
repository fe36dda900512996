//! One execution, timed.

use braid_evm::Executor;
use braid_testkit::{
    block::Block,
    sequential::{OneJournal, Plain},
};
use cpu_time::ProcessTime;
use revm::DatabaseRef;
use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

/// Time that one execution took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// On the clock, until the result can be used.
    pub wall: Duration,
    /// User and system time of all threads, until everything is taken apart.
    pub cpu: Duration,
}

/// Times `run`, which returns its result with whatever else it leaves, after a pause.
fn timed<R>(pause: Duration, run: impl FnOnce() -> R) -> Sample {
    between(pause, Duration::ZERO, run)
}

/// The same with a pause behind it, at whose end processor time ends: it has that of workers that look for work before
/// they sleep.
fn between<R>(before: Duration, behind: Duration, run: impl FnOnce() -> R) -> Sample {
    rest(before);
    let (cpu, start) = (processor_time(), Instant::now());
    let result = run();
    let wall = start.elapsed();
    drop(result);
    rest(behind);
    Sample { wall, cpu: processor_time().saturating_sub(cpu) }
}

/// Lets threads fall asleep and caches cool, as between two blocks of a node.
fn rest(pause: Duration) {
    if !pause.is_zero() {
        thread::sleep(pause);
    }
}

/// User and system time of all threads of this process so far; zero where the system does not tell.
pub(super) fn processor_time() -> Duration {
    ProcessTime::try_now().map_or(Duration::ZERO, |time| time.as_duration())
}

/// Times the baseline, [`Plain`], after a pause.
pub fn sequential<D: DatabaseRef>(block: &Block, database: D, pause: Duration) -> Sample {
    let plain = Plain::new(block);
    timed(pause, || plain.run_keeping(database))
}

/// Times one journal for the block, [`OneJournal`], after a pause.
pub fn journal<D: DatabaseRef>(block: &Block, database: D, pause: Duration) -> Sample {
    let journal = OneJournal::new(block);
    timed(pause, || journal.run_keeping(database))
}

/// Times the baseline between two pauses, with processor time until the end of the second one.
pub(super) fn sequential_until_idle<D: DatabaseRef>(
    block: &Block,
    database: D,
    pause: Duration,
) -> Sample {
    let plain = Plain::new(block);
    between(pause, pause, || plain.run_keeping(database))
}

/// Times Braid between two pauses, with processor time until the end of the second one.
pub(super) fn parallel_until_idle<D>(
    executor: &mut Executor,
    block: &Arc<braid_evm::Block>,
    database: D,
    pause: Duration,
) -> Sample
where
    D: DatabaseRef + Clone + Send + Sync + 'static,
{
    let block = Arc::clone(block);
    between(pause, pause, || executor.block(block).database(database).execute())
}

/// Times Braid, after a pause.
pub fn parallel<D>(
    executor: &mut Executor,
    block: &Arc<braid_evm::Block>,
    database: D,
    pause: Duration,
) -> Sample
where
    D: DatabaseRef + Clone + Send + Sync + 'static,
{
    let block = Arc::clone(block);
    timed(pause, || executor.block(block).database(database).execute())
}

/// Both halves of a block at the same time, each on a `State` of its own that are not merged: no
/// concurrency control can be faster on two cores, as long as it makes a `State` per thread.
///
/// The second half begins on the state before the block, so nonces are not looked at.
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

    /// `None` if a transaction is invalid without those of the other half.
    pub(super) fn run<D: DatabaseRef + Clone + Send>(
        &self,
        database: &D,
        pause: Duration,
    ) -> Option<Sample> {
        at_once(&self.0.each_ref(), database, pause)
    }
}

/// As many sequential executions of `block` at once: what the cores of this machine leave to each other.
pub(super) fn copies<D: DatabaseRef + Clone + Send>(
    block: &Block,
    count: u16,
    database: &D,
    pause: Duration,
) -> Option<Sample> {
    at_once(&vec![block; count.into()], database, pause)
}

/// All blocks at the same time, a thread each, until all are executed. `None` if one is invalid.
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
        // All start before the first one is waited for.
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().ok().flatten()).collect()
    });
    let times = times?;
    let (start, end) = (times.iter().map(|it| it.0).min()?, times.iter().map(|it| it.1).max()?);
    let wall = end.saturating_duration_since(start);
    Some(Sample { wall, cpu: processor_time().saturating_sub(cpu) })
}

/// Begins when all are ready; tells when it began and ended.
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
    use std::hint::black_box;

    /// A worker that goes on after the result is there counts in what is timed until all sleep, and only there.
    #[test]
    fn processor_time_ends_with_the_pause_behind() {
        const WORK: Duration = Duration::from_millis(10);
        let run = || {
            let work = || {
                let begun = ThreadTime::now();
                while begun.elapsed() < WORK {
                    black_box(0);
                }
            };
            // The handle is dropped with the result: the thread goes on.
            thread::spawn(work)
        };
        let sample = between(Duration::ZERO, Duration::from_secs(1), run);
        assert!(sample.cpu >= WORK && sample.wall < Duration::from_secs(1), "{sample:?}");
    }
}
