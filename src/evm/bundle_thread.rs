//! The bundle thread: a worker that builds the bundle while the caller runs transactions
//! sequentially.

use super::block_execution::{BlockExecution, SegmentEnd};
use super::bundle::block_effects::BlockEffects;
use super::bundle::builder::BundleBuilder;
use super::engine::feed::{BundleBatch, BundleFeed};
use super::exec::base::StateSource;
use super::worker_pool::{TRANSACTIONS_PER_WAIT, WorkerPool};
use crate::config::Config;
use crate::ids::WorkerId;
use crate::runtime::{Seat, Task};
use crate::sync::{Mutex, Receiver, Sender, bounded};
use crate::thresholds::{BUNDLE_BATCHES, LONGEST_BUNDLE_BATCH};
use crate::worker::{Context, Interrupt, Point};
use std::sync::Arc;

/// The task that builds the bundle. One of the workers runs it.
struct BundleThread {
    bundle: Mutex<Option<BundleBuilder>>,
    batches: Receiver<BundleBatch>,
    done: Sender<BundleBuilder>,
}

impl BundleThread {
    /// Waits for the complete bundle. Returns `None` if its worker makes no progress, because it is
    /// preempted.
    fn wait(
        &self,
        seat: Seat<'_>,
        done: &Receiver<BundleBuilder>,
        batch: usize,
    ) -> Option<BundleBuilder> {
        loop {
            let waiting = self.batches.len();
            let bundle = (0..=batch / TRANSACTIONS_PER_WAIT).find_map(|_| seat.recv_soon(done));
            if bundle.is_some() || self.batches.len() == waiting {
                return bundle;
            }
        }
    }
}

impl Task for BundleThread {
    fn run(&self, _: WorkerId, seat: Seat<'_>) {
        let Some(mut bundle) = self.bundle.lock().take() else { return };
        // Waiting for a batch frees the core for other threads.
        while let Some(BundleBatch { outputs, end }) = seat.patient().recv(&self.batches) {
            seat.yield_at(Point::Fold);
            bundle.extend_up_to(end, outputs.iter().map(|(place, output)| (*place, &**output)));
        }
        // If the bundle is too late, the caller has stopped waiting for it.
        let _ = self.done.try_send(bundle);
    }
}

/// Starts a bundle that grows while transactions run, with all transactions that have run so far.
pub(super) fn begin<S: StateSource>(
    execution: &mut BlockExecution<S>,
    effects: &BlockEffects,
    config: &Config,
) {
    let transactions = execution.workload.block_context.block.transactions.len();
    let ran = &execution.ledger.outcomes;
    execution.ledger.output_builder.begin_bundle(effects, transactions, config.reverts, ran);
}

/// Calls `run_transactions`, which runs the uncommitted transactions below `end`. If a bundle is
/// growing, another worker continues it at the same time.
pub(super) fn run<'env, S: StateSource>(
    execution: &mut BlockExecution<S>,
    end: usize,
    worker_pool: &mut impl WorkerPool<'env>,
    run_transactions: impl FnOnce(&mut BlockExecution<S>) -> SegmentEnd<S>,
) -> SegmentEnd<S> {
    let uncommitted = execution.uncommitted(end);
    let Some(bundle) = execution.ledger.output_builder.bundle.take() else {
        return run_transactions(execution);
    };
    let first = bundle.transactions();
    let batch = uncommitted.div_ceil(BUNDLE_BATCHES).clamp(1, LONGEST_BUNDLE_BATCH);
    let (batches, inbox) = bounded(end.saturating_sub(first).div_ceil(batch));
    execution.ledger.feed = Some(BundleFeed { batches, end: first, batch });
    let (done, finished) = bounded(1);
    let bundle = Mutex::new(Some(bundle));
    let bundle_thread = Arc::new(BundleThread { bundle, batches: inbox, done });
    let task: Arc<dyn Task + 'env> = bundle_thread.clone();
    worker_pool.run(&task, |seat| {
        let ended = run_transactions(execution);
        // Close the channel, so that the other worker finishes.
        execution.ledger.feed = None;
        // Run the task here if no other worker has started it.
        bundle_thread.run(WorkerId(0), seat);
        // If there is no bundle, it is built at the end of the block.
        execution.ledger.output_builder.bundle = bundle_thread.wait(seat, &finished, batch);
        ended
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Policy;
    use crate::evm::block::committed::OnCommit;
    use crate::evm::block::output::BlockOutput;
    use crate::evm::drive::{Options, execute};
    use crate::evm::exec::any::AnySource;
    use crate::evm::exec::base::Cloned;
    use crate::evm::exec::extensions::Extensions;
    use crate::evm::exec::input::{Block, ChainRules};
    use crate::evm::worker_pool::BLOCKING;
    use alloy_primitives::{Address, TxKind};
    use core::ops::ControlFlow;
    use revm::context::TxEnv;
    use revm::database::{BundleState, CacheDB, EmptyDB};
    use std::num::NonZeroU16;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    /// Two workers. If `second_runs` is set, the second worker starts before the caller; otherwise
    /// it never runs. `waited` records, for each task, whether the second worker waited.
    struct Watched {
        second_runs: bool,
        waited: Vec<bool>,
    }

    impl WorkerPool<'static> for Watched {
        fn workers(&self) -> usize {
            2
        }

        fn run_on<R>(
            &mut self,
            _: usize,
            task: &Arc<dyn Task>,
            own: impl FnOnce(Seat<'_>) -> R,
        ) -> R {
            if !self.second_runs {
                return own(BLOCKING);
            }
            let (ended, end) = channel();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    task.run(WorkerId(1), BLOCKING);
                    ended.send(()).expect("the receiver is there");
                });
                // A worker without work returns at once.
                let early = end.recv_timeout(Duration::from_millis(200));
                self.waited.push(early == Err(RecvTimeoutError::Timeout));
                own(BLOCKING)
            })
        }
    }

    /// Payments of zero wei among few accounts.
    fn payments(count: u64) -> Block {
        let address = |number: u64| Address::left_padding_from(&(number + 1_000).to_be_bytes());
        let pay = |number: u64| TxEnv {
            caller: address(number),
            kind: TxKind::Call(address(number % 50)),
            gas_limit: 21_000,
            chain_id: Some(1),
            ..TxEnv::default()
        };
        let transactions = (0..count).map(pay).collect();
        let rules = ChainRules { system_calls: false, ..ChainRules::default() };
        Block { transactions, rules, ..Block::default() }
    }

    fn run(
        worker_pool: &mut Watched,
        policy: Policy,
        count: u64,
        parent: Option<&BundleState>,
        hears: bool,
    ) -> BlockOutput {
        let two = NonZeroU16::new(2).expect("not zero");
        let config = Config { policy, ..Config::with_workers(two) };
        let extensions = Extensions::default();
        let parent = parent.cloned().map(Arc::new);
        let mut heard = 0;
        let mut hear = |_| {
            heard += 1;
            ControlFlow::Continue(())
        };
        let on_commit: Option<OnCommit<'_>> = if hears { Some(&mut hear) } else { None };
        let options = Options { config, extensions, parent, on_commit, cancel: None };
        let state = AnySource::new(Cloned(CacheDB::new(EmptyDB::new())));
        let output = execute(worker_pool, payments(count).into(), state, options);
        assert_eq!(heard, if hears { count } else { 0 });
        output.expect("a valid block")
    }

    #[test]
    fn another_worker_follows_and_without_it_the_caller_does_all() {
        for (policy, count, follows) in [
            (Policy::Auto, 1_200, true),
            (Policy::Sequential, 1_200, true),
            (Policy::Auto, 900, false),
            (Policy::Sequential, 900, false),
        ] {
            let mut worker_pool = Watched { second_runs: true, waited: Vec::new() };
            let with = run(&mut worker_pool, policy, count, None, false);
            // Many transactions pay the same accounts, so contiguous batches are not even tried.
            let stats = (
                with.stats.contiguous_batches,
                with.stats.speculative_commits,
                with.stats.sequential,
            );
            assert_eq!(stats, (0, 0, true), "{policy:?}, {count}");
            assert_eq!(worker_pool.waited.first() == Some(&true), follows, "{policy:?}, {count}");
            let alone = || Watched { second_runs: false, waited: Vec::new() };
            let without = run(&mut alone(), policy, count, None, false);
            assert_eq!(with.outcomes.len() as u64, count);
            assert_eq!((&with.outcomes, &with.receipts), (&without.outcomes, &without.receipts));
            assert_eq!(with.bundle, without.bundle);
            // Same on top of a parent bundle, and with streamed commits.
            let below = BundleState::default();
            for (parent, hears) in [(Some(&below), false), (None, true), (Some(&below), true)] {
                let mut worker_pool = Watched { second_runs: true, waited: Vec::new() };
                let found = run(&mut worker_pool, policy, count, parent, hears);
                assert_eq!(
                    worker_pool.waited.first() == Some(&true),
                    follows,
                    "{policy:?}, {count}"
                );
                assert_eq!(found.bundle, with.bundle);
            }
        }
    }
}
