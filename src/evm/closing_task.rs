//! The task that all workers share at the end of a block.

use super::block::receipts::OutcomesAndReceipts;
use super::bundle::assembly::{BundleAssembly, expect};
use super::bundle::block_effects::BlockEffects;
use super::bundle::bucket::{Bucket, BucketFolds};
use super::bundle::builder::BundleBuilder;
use super::bundle::folded::AccountReverted;
use super::bundle::shares::{
    BundleJob, BundleJobResult, BundleJobs, FoldedBucket, append_reverts, plan_jobs,
};
use super::bundle::undo::{LargeAccount, UndoneSlots, large_accounts, undone_slots};
use super::exec::bundle_shards::BundleShards;
use super::exec::input::Block;
use super::exec::location::EvmLocation;
use super::worker_pool::TRANSACTIONS_PER_WAIT;
use crate::ids::WorkerId;
use crate::mv::Store;
use crate::runtime::{Seat, Task};
use crate::sync::{AtomicU64, Mutex, Receiver, Sender, SeqCst, bounded};
use crate::worker::{Context, Interrupt, Point};
use alloy_primitives::{Address, map::AddressMap};
use revm::database::BundleState;
use revm::state::EvmState;
use std::sync::Arc;

/// Input of the work after the last commit.
pub(super) struct ClosingInput {
    pub(super) block: Arc<Block>,
    pub(super) effects: BlockEffects,
    /// The bundle built so far, if one is growing.
    pub(super) builder: Option<BundleBuilder>,
    pub(super) bundle_shards: BundleShards,
    /// The bundle to continue.
    pub(super) parent: Option<Arc<BundleState>>,
    /// Whether the bundle contains reverts.
    pub(super) reverts: bool,
    /// Whether only the calling thread has run the last transactions.
    pub(super) is_sequential: bool,
    /// The store, whose contents are no longer needed.
    pub(super) store: Arc<Store<EvmLocation>>,
    /// A journal that is no longer needed.
    pub(super) spent: EvmState,
}

/// Builds bundle and receipts at the end of a block. Workers fold accounts in buckets, which the
/// caller adds to the bundle, and compute the slot reverts of very large accounts separately. Once
/// all jobs are done, another worker builds the receipts while the caller finishes the bundle.
///
/// Jobs have no side effects. If a worker starts a job and does not deliver it, the caller runs it
/// again, and the first of two results counts.
pub(super) struct Closing {
    block: Arc<Block>,
    /// Shared by the workers that run jobs. When all jobs are done, one worker takes the effects to
    /// build the receipts.
    effects: Mutex<Option<Arc<BlockEffects>>>,
    /// The bundle to continue, which jobs read until all of them are done.
    parent: Mutex<Option<Arc<BundleState>>>,
    bundle_shards: BundleShards,
    jobs: Vec<BundleJob>,
    next: AtomicU64,
    /// Accounts whose slot reverts are computed in separate jobs.
    large: Vec<LargeAccount>,
    done: Sender<(usize, BundleJobResult)>,
    /// Disconnects when all jobs are done.
    all_folded: Receiver<()>,
    /// Outcomes and receipts. The worker that builds them holds the lock.
    receipts: Mutex<Option<OutcomesAndReceipts>>,
    store: Mutex<Option<Arc<Store<EvmLocation>>>>,
    pub(super) emptied: Mutex<Option<Store<EvmLocation>>>,
    /// A journal that is no longer needed. Dropping it takes time, so a worker does.
    spent: Mutex<EvmState>,
    /// Reverts of each bucket, if they are wanted. The caller, which assembles the accounts, does
    /// not handle them.
    reverts: Option<Mutex<Vec<Vec<AccountReverted>>>>,
    pub(super) joined: Mutex<Vec<AccountReverted>>,
    /// Accounts whose slot reverts are computed separately, and the reverts that the caller has
    /// received.
    pub(super) undone_separately: Mutex<(Vec<Address>, AddressMap<UndoneSlots>)>,
}

impl Closing {
    /// Creates the task that closes a block in up to `shares` buckets, the receiver of finished
    /// jobs, and the sender whose drop announces the end of all jobs. A growing bundle stays with
    /// the caller.
    pub(super) fn new(
        input: ClosingInput,
        shares: usize,
    ) -> (Self, Receiver<(usize, BundleJobResult)>, Sender<()>) {
        let ClosingInput { block, effects, bundle_shards, parent, reverts, store, spent, .. } =
            input;
        let large = if reverts && shares > 1 {
            large_accounts(&effects, parent.as_deref())
        } else {
            Vec::new()
        };
        let jobs = plan_jobs(&effects, &bundle_shards, shares, &large);
        let (done, inbox) = bounded(jobs.len());
        let (folding, all_folded) = bounded(0);
        let closing = Self {
            block,
            effects: Mutex::new(Some(Arc::new(effects))),
            parent: Mutex::new(parent),
            bundle_shards,
            jobs,
            next: AtomicU64::new(0),
            large,
            done,
            all_folded,
            receipts: Mutex::new(None),
            store: Mutex::new(Some(store)),
            emptied: Mutex::new(None),
            spent: Mutex::new(spent),
            reverts: reverts.then(Mutex::default),
            joined: Mutex::default(),
            undone_separately: Mutex::default(),
        };
        (closing, inbox, folding)
    }

    /// Claims the next job, if there is one.
    fn next_job(&self) -> Option<usize> {
        let next = self.next.fetch_add(1, SeqCst) as usize;
        (next < self.jobs.len()).then_some(next)
    }

    fn run_job(&self, job: BundleJob, effects: &BlockEffects) -> BundleJobResult {
        match job {
            BundleJob::Fold(shards) => self.fold(shards, effects),
            BundleJob::Undo(large) => self.undo(large, effects),
        }
    }

    fn undo(&self, large: LargeAccount, effects: &BlockEffects) -> BundleJobResult {
        BundleJobResult::Undone(large.address, undone_slots(effects, &self.bundle_shards, large))
    }

    pub(super) fn effects(&self) -> Arc<BlockEffects> {
        let Some(effects) = self.effects.lock().clone() else {
            unreachable!("the effects are taken once every job is done")
        };
        effects
    }

    fn folds<'e>(
        &'e self,
        effects: &'e BlockEffects,
        parent: Option<&'e BundleState>,
        shards: u64,
    ) -> BucketFolds<'e> {
        // Each change of an account counts, hence a limit.
        let changes =
            effects.shard_masks.iter().map(|changed| (changed & shards).count_ones() as usize);
        let limit = 2 * effects.shard_masks.len() / self.jobs.len();
        let accounts = changes.sum::<usize>().min(limit);
        let bucket = Bucket::new(effects, parent, &self.bundle_shards, shards, accounts);
        bucket.with_large_accounts(&self.large).run()
    }

    /// Folds the accounts of a bucket.
    fn fold(&self, shards: u64, effects: &BlockEffects) -> BundleJobResult {
        // The parent may be gone if this worker was preempted; the result is then ignored.
        let parent = self.parent.lock().clone();
        let folds = self.folds(effects, parent.as_deref(), shards);
        let (folded, reverts) = FoldedBucket::new(shards, folds, self.reverts.is_some());
        let lost = mutant!(BucketRevertsLost);
        BundleJobResult::Folded(folded, if lost { Vec::new() } else { reverts })
    }

    fn add_reverts(&self, more: impl IntoIterator<Item = Vec<AccountReverted>>) {
        if let Some(reverts) = &self.reverts {
            reverts.lock().extend(more);
        }
    }

    /// Joins the reverts of the block, unless another worker is doing so.
    pub(super) fn join_reverts(&self) {
        if let Some(mut joined) = self.joined.try_lock() {
            self.join_into(&mut joined);
        }
    }

    pub(super) fn join_into(&self, joined: &mut Vec<AccountReverted>) {
        let Some(reverts) = &self.reverts else { return };
        let parts = core::mem::take(&mut *reverts.lock());
        append_reverts(joined, parts);
    }

    /// Builds the receipts, unless they exist or another worker is building them. All jobs must be
    /// done.
    pub(super) fn build_receipts(&self) {
        if let Some(mut receipts) = self.receipts.try_lock() {
            self.build_receipts_into(&mut receipts);
        }
    }

    fn build_receipts_into(&self, receipts: &mut Option<OutcomesAndReceipts>) {
        if let Some(effects) = self.effects.lock().take() {
            // A preempted worker may still hold the effects.
            let (builder, outcomes) = match Arc::try_unwrap(effects) {
                Ok(BlockEffects { outcomes_builder, outcomes, .. }) => (outcomes_builder, outcomes),
                Err(held) => (held.outcomes_builder.clone(), held.outcomes.clone()),
            };
            *receipts = Some(builder.complete(&self.block, outcomes));
        }
    }

    /// Returns the receipts. Waits for the worker that builds them, because there is only one copy
    /// of their input.
    pub(super) fn take_receipts(&self) -> OutcomesAndReceipts {
        let mut receipts = self.receipts.lock();
        self.build_receipts_into(&mut receipts);
        match receipts.take() {
            Some(receipts) => receipts,
            // Panicking is better than a block without receipts.
            None => unreachable!("the receipts are built once and taken once"),
        }
    }

    /// Empties the store, unless another worker is doing so or still holds it.
    pub(super) fn empty_store(&self) {
        let full = self.store.lock().take();
        if let Some(full) = full.and_then(Arc::into_inner) {
            *self.emptied.lock() = Some(full.emptied());
        }
    }

    /// Drops the spent journal, unless another worker is doing so.
    pub(super) fn drop_spent(&self) {
        let _spent = core::mem::take(&mut *self.spent.lock());
    }

    /// Runs the caller's part of the task. `done` receives the jobs of other workers; dropping
    /// `folding` announces the end of all jobs.
    pub(super) fn close(
        &self,
        seat: Seat<'_>,
        done: &Receiver<(usize, BundleJobResult)>,
        folding: Sender<()>,
    ) -> BundleState {
        let mut assembly = BundleAssembly::new(self.reverts.is_some());
        let mut jobs = BundleJobs::new(self.jobs.len());
        let has_parent = self.parent.lock().is_some();
        loop {
            seat.yield_at(Point::Fold);
            while let Ok((job, result)) = done.try_recv() {
                jobs.accept(job, result);
            }
            self.add_reverts(jobs.reverts.drain(..));
            // Folded buckets come first, because only the caller can add them to the bundle.
            let folded = if has_parent { None } else { jobs.folded.pop() };
            if let Some(folded) = folded {
                expect(&mut assembly, folded.shards, folded.accounts.len());
                assembly.add_folded(folded);
            } else if let Some(job) = self.next_job() {
                self.run_here(job, &mut jobs, &mut assembly);
            } else if let Some(unfinished) = jobs.first_unfinished() {
                match self.wait(seat, done) {
                    Some((job, result)) => jobs.accept(job, result),
                    None => self.run_here(unfinished, &mut jobs, &mut assembly),
                }
            } else {
                self.add_reverts([assembly.take_reverts()]);
                // The other workers continue with receipts and reverts.
                drop(folding);
                if let Some(parent) = self.parent.lock().take() {
                    let parent = Arc::unwrap_or_clone(parent);
                    assembly = BundleAssembly::after(parent, self.reverts.is_some());
                    jobs.folded.into_iter().for_each(|folded| assembly.add_folded(folded));
                }
                *self.undone_separately.lock() = (assembly.take_undone_separately(), jobs.undone);
                return assembly.finish();
            }
        }
    }

    /// Waits for a job of another worker. Returns `None` after a time in which a worker would have
    /// delivered it, unless it is preempted.
    fn wait(
        &self,
        seat: Seat<'_>,
        done: &Receiver<(usize, BundleJobResult)>,
    ) -> Option<(usize, BundleJobResult)> {
        let transactions = self.effects().outcomes.len();
        let share = transactions / self.jobs.len().max(1);
        (0..=share / TRANSACTIONS_PER_WAIT).find_map(|_| seat.recv_soon(done))
    }

    /// Runs a job on the calling thread and adds its result to the bundle at once.
    fn run_here(&self, job: usize, jobs: &mut BundleJobs, assembly: &mut BundleAssembly) {
        match self.jobs.get(job).copied() {
            // No account is added to a parent's bundle until all accounts are folded.
            Some(fold @ BundleJob::Fold(_)) if self.parent.lock().is_some() => {
                jobs.accept(job, self.run_job(fold, &self.effects()));
            }
            Some(BundleJob::Fold(shards)) => {
                let effects = self.effects();
                let folds = self.folds(&effects, None, shards);
                expect(assembly, shards, folds.len());
                assembly.add_folds(folds);
                jobs.mark_done(job);
            }
            Some(BundleJob::Undo(large)) => jobs.accept(job, self.undo(large, &self.effects())),
            None => {}
        }
    }
}

impl Task for Closing {
    fn run(&self, _: WorkerId, seat: Seat<'_>) {
        while let Some(next) = self.next_job() {
            let Some(job) = self.jobs.get(next) else { break };
            // If this worker was preempted, the caller may have run the job, and the effects may be
            // gone.
            let Some(effects) = self.effects.lock().clone() else { break };
            let done = self.run_job(*job, &effects);
            drop(effects);
            // The channel has room for every job. If this worker does not deliver the job, the
            // caller runs it.
            let _ = self.done.try_send((next, done));
            seat.yield_at(Point::Fold);
        }
        self.empty_store();
        self.drop_spent();
        self.join_reverts();
        // No message is ever sent: the receive ends when the sender is dropped.
        let _ = seat.recv(&self.all_folded);
        self.build_receipts();
        self.join_reverts();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::exec::change::{AccountChange, ChangeKind, CodeState};
    use crate::evm::worker_pool::BLOCKING;
    use alloy_primitives::{U256, map::HashMap};
    use crossbeam_channel::TryRecvError;
    use revm::state::AccountInfo;

    fn paid(account: u8) -> AccountInfo {
        AccountInfo::from_balance(U256::from(account))
    }

    /// The task for payments, in `shares` buckets, to accounts that do not exist or that `parent`
    /// contains.
    fn closing(
        shares: usize,
        parent: Option<&Arc<BundleState>>,
    ) -> (Closing, Receiver<(usize, BundleJobResult)>, Sender<()>) {
        let change = |account: u8| AccountChange {
            address: Address::repeat_byte(account),
            kind: ChangeKind::Changed,
            before: parent.filter(|_| account > 150).map(|_| paid(1)),
            after: Some(paid(account)),
            slots: Vec::new(),
            code: CodeState::Loaded,
            knows_balance: true,
        };
        let before = (1..=200).map(change).collect();
        let effects = BlockEffects { before, ..Default::default() };
        let input = ClosingInput {
            block: Arc::default(),
            effects,
            builder: None,
            bundle_shards: BundleShards::default(),
            parent: parent.cloned(),
            reverts: true,
            is_sequential: false,
            store: Arc::new(Store::new(1)),
            spent: EvmState::default(),
        };
        Closing::new(input, shares)
    }

    /// A bundle with the accounts above 150, each with one slot.
    fn parent() -> Arc<BundleState> {
        let slot = (U256::ONE, (U256::ZERO, U256::from(9)));
        let accounts = (151..=250).map(|account| {
            let slots = HashMap::from_iter([slot]);
            (Address::repeat_byte(account), None, Some(paid(1)), slots)
        });
        let reverts = [[(Address::ZERO, None, [])]];
        Arc::new(BundleState::new(accounts, reverts, []))
    }

    #[test]
    fn a_bucket_that_its_worker_does_not_bring_is_folded_by_the_caller() {
        for parent in [None, Some(parent())] {
            let (task, done, folding) = closing(1, parent.as_ref());
            let expected = task.close(BLOCKING, &done, folding);
            assert_eq!(expected.state.len(), if parent.is_some() { 250 } else { 200 });
            assert_eq!(expected.reverts.len(), 1 + usize::from(parent.is_some()));
            for shares in [2, 3, 8] {
                let (task, done, folding) = closing(shares, parent.as_ref());
                // One job is not delivered in time, and another worker runs one.
                let late = task.next_job().expect("there are two or more");
                let job = task.next_job().expect("there are two or more");
                // Deliver the second job twice, as if a preempted worker had finished it late.
                for _ in 0..2 {
                    let result = task.run_job(task.jobs[job], &task.effects());
                    task.done.try_send((job, result)).expect("there is room");
                }
                let found = task.close(BLOCKING, &done, folding);
                // The first job is delivered too late.
                let late_result = task.run_job(task.jobs[late], &task.effects());
                task.done.try_send((late, late_result)).expect("there is room");
                assert_eq!(found.state, expected.state);
                assert_eq!(found.state_size, expected.state_size);
                task.join_reverts();
                assert_eq!(task.joined.lock().len(), 200);
                // The other workers learn that all jobs are done.
                assert_eq!(task.all_folded.try_recv(), Err(TryRecvError::Disconnected));
            }
        }
    }
}
