//! Times one execution.

use braid_blocks::{
    block::Block,
    sequential::{OneJournal, Plain},
    timing::{Pauses, Times, processor_time, rest, times_of},
};
use braid_evm::Executor;
use revm::DatabaseRef;
use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

/// Times the baseline, [`Plain`].
pub fn sequential<D: DatabaseRef>(block: &Block, database: D, pauses: Pauses) -> Times {
    let plain = Plain::new(block);
    times_of(pauses, || plain.run_keeping(database))
}

/// Times one journal for the block, [`OneJournal`].
pub(super) fn journal<D: DatabaseRef>(block: &Block, database: D, pauses: Pauses) -> Times {
    let journal = OneJournal::new(block);
    times_of(pauses, || journal.run_keeping(database))
}

/// Times Braid.
pub fn parallel<D>(
    executor: &mut Executor,
    block: &Arc<braid_evm::Block>,
    database: D,
    pauses: Pauses,
) -> Times
where
    D: DatabaseRef + Clone + Send + Sync + 'static,
{
    let block = Arc::clone(block);
    times_of(pauses, || executor.block(block).database(database).execute())
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
    ) -> Option<Times> {
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
) -> Option<Times> {
    at_once(&vec![block; count.into()], database, pause)
}

/// Executes all blocks concurrently, on a thread each, until all are done. `None` if one is
/// invalid.
fn at_once<D: DatabaseRef + Clone + Send>(
    blocks: &[&Block],
    database: &D,
    pause: Duration,
) -> Option<Times> {
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
    Some(Times { wall, cpu: processor_time().saturating_sub(cpu) })
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
