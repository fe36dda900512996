//! Segments of contiguous private batches, up to the first one that must not commit as a whole.

use super::bal::ahead::Ahead;
use super::block::committed::OnCommit;
use super::exec::base::StateSource;
use super::segment::How;
use super::session::{Ended, Session};
use super::worker_pool::WorkerPool;
use crate::config::Config;
use crate::ids::{Chunk, TxIndex, WorkerId};
use crate::schedule::cut;
use core::ops::Range;
use std::sync::Arc;

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
        let batch = |range: Range<usize>| Chunk { first: at(range.start), end: at(range.end) };
        let ranges = cut(self.frontier.position()..end, worker_pool.workers(), shortest);
        let batches = ranges.into_iter().map(batch).collect();
        self.run_shared(end, worker_pool, config, on_commit, How::Private(batches))
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
}
