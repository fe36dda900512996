//! What is left to do when all transactions are committed, shared out among the workers: the
//! bundle, the receipts, and emptying the store for the next block.

use super::block::receipts::Split;
use super::bundle::assembly::{Assembly, GrowingBundle, expect};
use super::bundle::block_effects::BlockEffects;
use super::bundle::bucket::{Bucket, Folds, extend};
use super::bundle::folded::AccountReverted;
use super::bundle::shares::{Done, Folded, Job, Jobs, join, shared_out};
use super::bundle::undo::{Large, UndoneSlots, large_accounts, put_back, undone_slots};
use super::crew::{Crew, SLEEPY, Spare};
use super::exec::input::Block;
use super::exec::location::EvmLocation;
use super::exec::spread::Spread;
use super::mutants::{EvmMutant, is_evm_mutant};
use crate::ids::WorkerId;
use crate::mv::Store;
use crate::runtime::{Seat, Task};
use crate::sync::{AtomicU64, Mutex, Receiver, Sender, SeqCst, bounded};
use crate::worker::{Context, Interrupt, Point};
use alloy_primitives::{Address, map::AddressMap};
use revm::database::BundleState;
use revm::database::states::reverts::Reverts;
use revm::state::EvmState;
use std::sync::Arc;

/// Transactions below which one thread is as fast where the others have just run some of them, and are
/// awake.
const WORTH_SHARING: usize = 32;
/// The same where they have slept.
const WORTH_WAKING: usize = 1_000;
/// Buckets per worker, so that an uneven split costs little.
const BUCKETS_PER_WORKER: usize = 4;

/// What the end of a block is made of.
pub(super) struct Remains {
    pub(super) block: Arc<Block>,
    pub(super) effects: BlockEffects,
    /// What is in the bundle already.
    pub(super) growing: Option<GrowingBundle>,
    pub(super) spread: Spread,
    /// The bundle to continue.
    pub(super) parent: Option<BundleState>,
    /// Whether the bundle gets what is needed to undo the block.
    pub(super) reverts: bool,
    /// Whether only the caller has run transactions.
    pub(super) alone: bool,
    /// Nobody needs what is in it.
    pub(super) store: Store<EvmLocation>,
    /// Nor this.
    pub(super) spent: EvmState,
}

/// Accounts are folded in buckets, which the caller puts into the bundle, and what undoes very many slots is made
/// beside that. Once all is done another worker makes the receipts meanwhile.
struct Closing {
    block: Arc<Block>,
    /// Whoever folds holds on to them; when all jobs are done somebody takes them apart.
    effects: Mutex<Option<Arc<BlockEffects>>>,
    spread: Spread,
    jobs: Vec<Job>,
    next: AtomicU64,
    /// Accounts of which what undoes their slots is a job of its own.
    large: Vec<Large>,
    /// A job that could not be done comes back.
    done: Sender<Result<Done, Job>>,
    /// Ends when all jobs are done.
    all_folded: Receiver<()>,
    split: Mutex<Option<Split>>,
    store: Mutex<Option<Store<EvmLocation>>>,
    emptied: Mutex<Option<Store<EvmLocation>>>,
    /// Taking it apart takes time.
    spent: Mutex<EvmState>,
    /// Of each bucket, where they are wanted: the caller puts accounts into the bundle, and need not see them.
    reverts: Option<Mutex<Vec<Vec<AccountReverted>>>>,
    joined: Mutex<Vec<AccountReverted>>,
    /// Whose slots are undone apart, and by what: as far as the caller was told.
    apart: Mutex<(Vec<Address>, AddressMap<UndoneSlots>)>,
    mutant: EvmMutant,
}

impl Closing {
    /// What closes a block in up to `shares` buckets, the end of it that hears of jobs, and the one
    /// that tells of their end when it is dropped.
    fn new(
        (block, effects, spread): (Arc<Block>, BlockEffects, Spread),
        shares: usize,
        store: Option<Store<EvmLocation>>,
        spent: EvmState,
        reverts: bool,
    ) -> (Self, Receiver<Result<Done, Job>>, Sender<()>) {
        let large = if reverts && shares > 1 { large_accounts(&effects) } else { Vec::new() };
        let jobs = shared_out(&effects, &spread, shares, &large);
        let (done, inbox) = bounded(jobs.len());
        let (folding, all_folded) = bounded(0);
        let mutant = effects.mutant;
        let closing = Self {
            block,
            effects: Mutex::new(Some(Arc::new(effects))),
            spread,
            jobs,
            next: AtomicU64::new(0),
            large,
            done,
            all_folded,
            split: Mutex::new(None),
            store: Mutex::new(store),
            emptied: Mutex::new(None),
            spent: Mutex::new(spent),
            reverts: reverts.then(Mutex::default),
            joined: Mutex::default(),
            apart: Mutex::default(),
            mutant,
        };
        (closing, inbox, folding)
    }

    /// The next job, if there is one left.
    fn next_job(&self) -> Option<Job> {
        self.jobs.get(self.next.fetch_add(1, SeqCst) as usize).copied()
    }

    fn run_job(&self, job: Job) -> Done {
        match job {
            Job::Fold(cells) => Done::Folded(self.fold(cells)),
            Job::Undo(large) => self.undo(large),
        }
    }

    fn undo(&self, large: Large) -> Done {
        let effects = self.effects();
        Done::Undone(large.address, undone_slots(&effects, &self.spread, large))
    }

    fn effects(&self) -> Arc<BlockEffects> {
        let Some(effects) = self.effects.lock().clone() else {
            unreachable!("nobody takes the effects before every job is done")
        };
        effects
    }

    fn folds<'e>(&'e self, effects: &'e BlockEffects, cells: u64) -> Folds<'e> {
        // An account that is changed again and again is counted as often: hence a limit.
        let changes = effects.masks.iter().map(|changed| (changed & cells).count_ones() as usize);
        let limit = 2 * effects.masks.len() / self.jobs.len();
        let bucket =
            Bucket::new(effects, None, (&self.spread, cells), changes.sum::<usize>().min(limit));
        bucket.without_undoing(&self.large).run()
    }

    /// Folds the accounts of a bucket.
    fn fold(&self, cells: u64) -> Folded {
        let effects = self.effects();
        let folds = self.folds(&effects, cells);
        let (folded, reverts) = Folded::new(cells, folds, self.reverts.is_some());
        if !is_evm_mutant!(effects.mutant, BucketRevertsLost) {
            self.keep_reverts(reverts);
        }
        folded
    }

    fn keep_reverts(&self, more: Vec<AccountReverted>) {
        if let Some(reverts) = &self.reverts {
            reverts.lock().push(more);
        }
    }

    /// Puts together what there is to undo the block, unless somebody does just that.
    fn join_reverts(&self) {
        let Some(reverts) = &self.reverts else { return };
        if let Some(mut joined) = self.joined.try_lock() {
            let parts = core::mem::take(&mut *reverts.lock());
            join(&mut joined, parts);
        }
    }

    /// Makes the receipts, if nobody has begun with it. All jobs must be done.
    fn split(&self) {
        let effects = self.effects.lock().take();
        if let Some(effects) = effects {
            let Some(effects) = Arc::into_inner(effects) else {
                unreachable!("nobody folds any more")
            };
            let BlockEffects { split, outcomes, mutant, .. } = effects;
            *self.split.lock() = Some(split.complete(&self.block, outcomes, mutant));
        }
    }

    /// Empties the store, if nobody has begun with it.
    fn empty_store(&self) {
        let full = self.store.lock().take();
        if let Some(full) = full {
            *self.emptied.lock() = Some(full.emptied());
        }
    }

    /// Takes apart what nobody needs and nobody has begun with.
    fn drop_spent(&self) {
        let _spent = core::mem::take(&mut *self.spent.lock());
    }

    /// The caller's part; `done` are the jobs of others and `folding` tells them of the end.
    fn close(
        &self,
        seat: Seat<'_>,
        done: &Receiver<Result<Done, Job>>,
        folding: Sender<()>,
    ) -> BundleState {
        let mut assembly = Assembly::new(self.reverts.is_some());
        let mut folding = Some(folding);
        let mut jobs = Jobs { left: self.jobs.len(), ..Jobs::default() };
        loop {
            seat.yield_at(Point::Between);
            while let Ok(theirs) = done.try_recv() {
                jobs.take(theirs);
            }
            if jobs.left == 0
                && let Some(folding) = folding.take()
            {
                self.keep_reverts(assembly.take_reverts());
                // The others go on to receipts and reverts.
                drop(folding);
            }
            // Only the caller can put into the bundle what others have folded: that comes first.
            if let Some(folded) = jobs.folded.pop() {
                expect(&mut assembly, folded.cells, folded.accounts.len());
                assembly.add_folded(folded);
            } else if jobs.left == 0 {
                *self.apart.lock() = (assembly.take_apart(), jobs.undone);
                return assembly.finish();
            } else if let Some(job) = jobs.given_back.pop().or_else(|| self.next_job()) {
                match job {
                    Job::Fold(cells) => {
                        let effects = self.effects();
                        let folds = self.folds(&effects, cells);
                        expect(&mut assembly, cells, folds.len());
                        assembly.add(folds.finish());
                        jobs.left -= 1;
                    }
                    Job::Undo(large) => jobs.take(Ok(self.undo(large))),
                }
            } else {
                // Every other job is in somebody's hands, who sends it whatever happens.
                match seat.recv(done) {
                    Some(theirs) => jobs.take(theirs),
                    None => unreachable!("the task itself holds a sender"),
                }
            }
        }
    }
}

/// A job that somebody does. If that fails, by a bug of ours, the caller gets it back.
struct Promise<'a> {
    task: &'a Closing,
    job: Job,
    done: Option<Done>,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        // There is room for every job.
        let _ = self.task.done.try_send(self.done.take().ok_or(self.job));
    }
}

impl Task for Closing {
    fn run(&self, _: WorkerId, seat: Seat<'_>) {
        while let Some(job) = self.next_job() {
            let mut promise = Promise { task: self, job, done: None };
            promise.done = Some(self.run_job(job));
            seat.yield_at(Point::Between);
        }
        self.empty_store();
        self.drop_spent();
        self.join_reverts();
        // Nobody sends: it ends when the sender is gone.
        let _ = seat.recv(&self.all_folded);
        self.split();
        self.join_reverts();
    }
}

/// The bundle of a block, with one entry of reverts for the block, its outcomes and its receipts.
pub(super) fn close<'env>(remains: Remains, crew: &mut impl Crew<'env>) -> (BundleState, Split) {
    let Remains { block, effects, growing, spread, parent, reverts, alone, store, spent } = remains;
    if let Some(parent) = parent {
        crew.keep_store(Spare(store.emptied()));
        let bundle = extend(&effects, parent, reverts);
        return (bundle, effects.split.complete(&block, effects.outcomes, effects.mutant));
    }
    let enough = if alone { WORTH_WAKING } else { WORTH_SHARING };
    let sharing = effects.outcomes.len() >= enough && crew.workers() > 1;
    let shares = match growing {
        Some(_) => 0,
        None if sharing => crew.workers() * BUCKETS_PER_WORKER,
        None => 1,
    };
    let parts = (block, effects, spread);
    let (task, done, folding) = Closing::new(parts, shares, Some(store), spent, reverts);
    let task = Arc::new(task);
    if !sharing {
        // What they have taken up is room for the bundle.
        task.empty_store();
        task.drop_spent();
    }
    let own = |seat: Seat<'_>| {
        let bundle = match growing {
            Some(mut growing) => {
                growing.complete(&task.effects());
                // The others go on to the receipts.
                drop(folding);
                seat.yield_at(Point::Between);
                growing.finish()
            }
            None => task.close(seat, &done, folding),
        };
        // Unless others have come.
        task.split();
        task.join_reverts();
        task.empty_store();
        task.drop_spent();
        bundle
    };
    let mut bundle = if sharing {
        let shared: Arc<dyn Task + 'env> = task.clone();
        crew.run(&shared, own)
    } else {
        own(SLEEPY)
    };
    // What somebody has kept while another one joined the rest.
    task.join_reverts();
    let reverts = core::mem::take(&mut *task.joined.lock());
    if !reverts.is_empty() {
        bundle.reverts = Reverts::new(vec![reverts]);
    }
    let (apart, undone) = core::mem::take(&mut *task.apart.lock());
    if !is_evm_mutant!(task.mutant, UndoneSlotsLost) {
        put_back(&mut bundle, apart, undone);
    }
    if let Some(store) = task.emptied.lock().take() {
        crew.keep_store(Spare(store));
    }
    match task.split.lock().take() {
        Some(split) => (bundle, split),
        // Better than a block without receipts.
        None => unreachable!("whoever has begun with the receipts has made them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::exec::change::{AccountChange, ChangeKind};
    use alloy_primitives::U256;
    use crossbeam_channel::TryRecvError;
    use revm::state::AccountInfo;

    /// Payments to accounts that are not there, in `shares` buckets.
    fn closing(shares: usize) -> (Closing, Receiver<Result<Done, Job>>, Sender<()>) {
        let change = |account: u8| AccountChange {
            address: Address::repeat_byte(account),
            kind: ChangeKind::Changed,
            before: None,
            after: Some(AccountInfo::from_balance(U256::from(account))),
            slots: Vec::new(),
            knows_code: true,
            knows_balance: true,
        };
        let before = (1..=200).map(change).collect();
        let effects = BlockEffects { before, ..Default::default() };
        let parts = (Arc::default(), effects, Spread::default());
        Closing::new(parts, shares, None, EvmState::default(), true)
    }

    #[test]
    fn a_bucket_that_its_worker_could_not_fold_is_folded_by_the_caller() {
        let (task, done, folding) = closing(1);
        let expected = task.close(SLEEPY, &done, folding);
        assert_eq!(expected.state.len(), 200);
        for shares in [2, 3, 8] {
            let (task, done, folding) = closing(shares);
            // One is given back, and one is folded by somebody else.
            let job = task.next_job().expect("there are two or more");
            drop(Promise { task: &task, job, done: None });
            let job = task.next_job().expect("there are two or more");
            drop(Promise { task: &task, job, done: Some(task.run_job(job)) });
            let found = task.close(SLEEPY, &done, folding);
            assert_eq!(found.state, expected.state);
            task.join_reverts();
            assert_eq!(task.joined.lock().len(), 200);
            // The others hear of it.
            assert_eq!(task.all_folded.try_recv(), Err(TryRecvError::Disconnected));
        }
    }
}
