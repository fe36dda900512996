//! Segments of private batches: contiguous batches, up to the first one that must not commit as a
//! whole, and rounds of batches that group transactions by predicted dependencies.
//!
//! If a bundle thread would be used for a sequential rest, the changes of a round are folded into
//! the bundle while the next round runs, by the first worker to start. So the memory of the changes
//! is reused early, and little folding remains for the end of the block.

use super::bal::ahead::Ahead;
use super::block::committed::{OnCommit, lend};
use super::exec::base::StateSource;
use super::plan::declared::{Planned, Rounds};
use super::plan::partition::plan_round;
use super::segment::{Folding, How, PrivateSegment};
use super::session::{Ended, Session};
use super::worker_pool::{Fewer, WorkerPool};
use crate::config::{Config, Policy};
use crate::ids::{Chunk, TxIndex, WorkerId};
use crate::protocol::Batch;
use crate::schedule::{Lanes, cut};
use core::ops::Range;
use std::sync::Arc;

/// Transactions of a forced round, and forced rounds in a row: the changes of one are folded while
/// the next one runs.
const FORCED_ROUND: usize = 4;
const FORCED_ROUNDS: u32 = 2;

fn at(place: usize) -> TxIndex {
    TxIndex(u32::try_from(place).unwrap_or(u32::MAX))
}

impl<S: StateSource> Session<S> {
    /// Runs the uncommitted transactions below `end` in contiguous batches of at least `shortest`
    /// transactions, up to the first batch that must not commit as a whole.
    pub(super) fn run_neighbours<'env, C: WorkerPool<'env>>(
        &mut self,
        end: usize,
        worker_pool: &mut C,
        config: &Config,
        on_commit: Option<OnCommit<'_>>,
        shortest: usize,
    ) -> Ended<S>
    where
        S: 'env,
    {
        self.ledger.catch_up();
        self.share_reads(worker_pool, config);
        let range = |range: Range<usize>| {
            Batch::Range(Chunk { first: at(range.start), end: at(range.end) })
        };
        let ranges = cut(self.frontier.position()..end, worker_pool.workers(), shortest);
        let batches = ranges.into_iter().map(range).collect();
        let (publishes, folding) = (false, None);
        let segment = PrivateSegment { batches, hands_over_rest: true, publishes, folding };
        self.run_shared(end, worker_pool, config, on_commit, How::Private(Box::new(segment)))
    }

    /// With slow storage, lets the extra workers prefetch the state that the block's access list
    /// names, and shares it among all workers.
    fn share_reads<'env>(&mut self, worker_pool: &impl WorkerPool<'env>, config: &Config) {
        let usual = usize::from(config.workers.get());
        let is_of_use =
            worker_pool.is_wide() && worker_pool.workers() > usual && self.workload.ahead.is_none();
        let block_context = &self.workload.block_context;
        let is_seeded = mutant!(NothingReadAhead);
        if let Some(claims) = block_context.told_claims().filter(|_| is_of_use && !is_seeded) {
            let ahead = Ahead::new(claims.list(), WorkerId(config.workers.get()));
            Arc::make_mut(&mut self.workload).ahead = Some(Arc::new(ahead));
        }
    }

    /// Runs a few short rounds of transactions below `end`. No choice but a forced one leads here:
    /// in tests, batches of predicted dependencies meet conflicts, which declared ones cannot.
    pub(super) fn run_groups<'env, C: WorkerPool<'env>>(
        &mut self,
        end: usize,
        worker_pool: &mut C,
        config: &Config,
        mut on_commit: Option<OnCommit<'_>>,
    ) -> Ended<S>
    where
        S: 'env,
    {
        let mut ended = Ended::default();
        for _ in 0..FORCED_ROUNDS {
            let first = self.frontier.position();
            let used = self.ledger.gas().admitted(&self.workload.block_context.block);
            let unfolded = self.ledger.output_builder.bundled();
            let begun = unfolded.map_or(0, |from| first.saturating_sub(from));
            let block_context = &self.workload.block_context;
            let block = (&*block_context.block, block_context.paid_in_batches());
            let round = first..end.min(first + FORCED_ROUND);
            let lanes = plan_round(block, round, used, (worker_pool.workers(), begun));
            if ended.failure.is_some() || lanes.lanes.is_empty() {
                break;
            }
            let some = &mut Fewer { worker_pool: &mut *worker_pool, most: lanes.workers() };
            ended = self.run_round(lanes, some, config, lend(&mut on_commit));
            self.counters.rounds += u64::from(self.frontier.position() > first);
        }
        ended
    }

    /// Runs transactions below `end` by their declared accesses, as long as most of them do not
    /// conflict: in rounds, and in contiguous batches of at least `shortest` transactions.
    pub(super) fn run_declared<'env, C: WorkerPool<'env>>(
        &mut self,
        end: usize,
        worker_pool: &mut C,
        config: &Config,
        mut on_commit: Option<OnCommit<'_>>,
        shortest: usize,
    ) -> Ended<S>
    where
        S: 'env,
    {
        let mut ended = Ended::default();
        let is_forced = matches!(config.policy, Policy::Forced(_));
        let mut rounds = Rounds::new();
        while ended.failure.is_none() && self.left(end) > 0 {
            let first = self.frontier.position();
            let block_context = &self.workload.block_context;
            let used = self.ledger.gas().admitted(&block_context.block);
            let unfolded = self.ledger.output_builder.bundled();
            let begun = unfolded.map_or(0, |from| first.saturating_sub(from));
            let on = (worker_pool.workers(), begun);
            match rounds.plan(&block_context.block, first..end, used, on, shortest) {
                Planned::Apart(end) => {
                    let heard = lend(&mut on_commit);
                    ended = self.run_neighbours(end, worker_pool, config, heard, shortest.max(1));
                    self.counters.parts += ended.batches;
                    if self.frontier.position() < end {
                        // A transaction is invalid, or reads the fees.
                        break;
                    }
                }
                Planned::Round(lanes)
                    if lanes.lanes.is_empty() || (lanes.is_chain() && !is_forced) =>
                {
                    break;
                }
                Planned::Round(lanes) => {
                    let some = &mut Fewer { worker_pool: &mut *worker_pool, most: lanes.workers() };
                    ended = self.run_round(lanes, some, config, lend(&mut on_commit));
                    self.counters.rounds += u64::from(self.frontier.position() > first);
                }
            }
        }
        ended
    }

    fn run_round<'env, C: WorkerPool<'env>>(
        &mut self,
        lanes: Lanes,
        worker_pool: &mut C,
        config: &Config,
        on_commit: Option<OnCommit<'_>>,
    ) -> Ended<S>
    where
        S: 'env,
    {
        let end = lanes.lanes.iter().flatten().max().map_or(0, |last| last + 1);
        let batch = |lane: Vec<usize>| Batch::Members(lane.into_iter().map(at).collect());
        let batches = lanes.lanes.into_iter().map(batch).collect();
        let unfolded = self.ledger.output_builder.complete_up_to();
        self.take_over_batches();
        let ledger = &mut self.ledger;
        let folding = unfolded.map(|from| {
            let (output_builder, lent) =
                (core::mem::take(&mut ledger.output_builder), ledger.lend(from));
            Folding { output_builder, from, lent }
        });
        let (hands_over_rest, publishes) = (false, true);
        let segment = PrivateSegment { batches, hands_over_rest, publishes, folding };
        self.run_shared(end, worker_pool, config, on_commit, How::Private(Box::new(segment)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::drive::{Options, execute};
    use super::super::exec::any::AnySource;
    use super::super::exec::base::Cloned;
    use super::super::exec::extensions::Extensions;
    use super::super::exec::input::Block;
    use super::super::worker_pool::{Memory, ThreadPool};
    use super::*;
    use crate::config::Forced;
    use crate::evm::plan::Strategy;
    use crate::runtime::{Seat, Task};
    use alloy_primitives::{Address, TxKind, U256, hex};
    use revm::bytecode::Bytecode;
    use revm::context::TxEnv;
    use revm::database::{CacheDB, EmptyDB};
    use revm::state::AccountInfo;
    use std::num::NonZeroU16;

    /// A pool that records how many workers are used.
    struct Noted(ThreadPool, Vec<usize>);

    impl WorkerPool<'static> for Noted {
        fn workers(&self) -> usize {
            self.0.workers()
        }

        fn memory(&mut self) -> Option<&mut Memory> {
            self.0.memory()
        }

        fn run_on<R>(
            &mut self,
            workers: usize,
            task: &Arc<dyn Task>,
            own: impl FnOnce(Seat<'_>) -> R,
        ) -> R {
            self.1.push(workers);
            self.0.run_on(workers, task, own)
        }
    }

    /// Half of the calls write one common slot; every other call writes a slot of its own.
    #[test]
    fn a_round_wakes_whom_its_heaviest_lane_leaves_work_for() {
        let contract = Address::repeat_byte(0xcc);
        // The contract counts in the slot given by the first argument.
        let code = Bytecode::new_raw(hex!("600435805460010190550000").into());
        let mut state = CacheDB::new(EmptyDB::new());
        state.insert_account_info(contract, AccountInfo::default().with_code(code));
        let call = |index: u64| TxEnv {
            caller: Address::left_padding_from(&(index + 1_000).to_be_bytes()),
            kind: TxKind::Call(contract),
            data: [[7; 4].as_slice(), &U256::from(index * (index % 2)).to_be_bytes::<32>()]
                .concat()
                .into(),
            gas_limit: 60_000,
            chain_id: Some(1),
            ..TxEnv::default()
        };
        let mut block = Block { transactions: (0..300).map(call).collect(), ..Block::default() };
        block.rules.system_calls = false;
        let mut worker_pool = Noted(ThreadPool::new((8, 8), true).expect("threads"), Vec::new());
        let policy = Policy::Forced(Forced::GroupedBatches);
        let config =
            Config { policy, ..Config::with_workers(NonZeroU16::new(8).expect("not zero")) };
        let extensions = Extensions::default();
        let options = Options { config, extensions, parent: None, on_commit: None, cancel: None };
        let done = execute(&mut worker_pool, block.into(), AnySource::new(Cloned(state)), options);
        let segments = done.expect("a valid block").segments;
        assert_eq!(
            segments.first().map(|it| it.strategy),
            Some(Strategy::GroupedBatches),
            "{segments:?}"
        );
        assert_eq!(worker_pool.1.first(), Some(&3), "{:?}", worker_pool.1);
    }
}
