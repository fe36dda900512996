//! What is left to do when all transactions are committed, shared out among the workers: the
//! bundle, the receipts, and emptying the store for the next block.

use super::assembly::{Assembly, GrowingBundle};
use super::block::Block;
use super::bundle::{BlockEffects, Bucket, Folds, Spread, extend};
use super::crew::{Crew, SLEEPY, Spare};
use super::location::EvmLocation;
use super::mutants::is_evm_mutant;
use super::receipts::Split;
use super::shares::{AccountReverted, Buckets, Folded, expect, join, shared_out};
use crate::ids::WorkerId;
use crate::mv::Store;
use crate::runtime::{Seat, Task};
use crate::sync::{AtomicU64, Mutex, Receiver, Sender, SeqCst, bounded};
use crate::worker::{Context, Point};
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
    pub(super) spent: Vec<EvmState>,
}

/// Accounts are folded in buckets, which the caller puts into the bundle. Once all are folded another
/// worker makes the receipts meanwhile.
struct Closing {
    block: Arc<Block>,
    /// Whoever folds holds on to them; when all is folded somebody takes them apart.
    effects: Mutex<Option<Arc<BlockEffects>>>,
    spread: Spread,
    /// Cells of each bucket.
    buckets: Vec<u64>,
    next: AtomicU64,
    /// A bucket that could not be folded comes back.
    folded: Sender<Result<Folded, u64>>,
    /// Ends when all buckets are folded.
    all_folded: Receiver<()>,
    split: Mutex<Option<Split>>,
    store: Mutex<Option<Store<EvmLocation>>>,
    emptied: Mutex<Option<Store<EvmLocation>>>,
    /// Taking them apart takes time.
    spent: Mutex<Vec<EvmState>>,
    /// Of each bucket, where they are wanted: the caller puts accounts into the bundle, and need not see them.
    reverts: Option<Mutex<Vec<Vec<AccountReverted>>>>,
    joined: Mutex<Option<Vec<AccountReverted>>>,
}

impl Closing {
    /// What closes a block in up to `shares` buckets, the end of it that receives buckets, and the one
    /// that tells of their end when it is dropped.
    fn new(
        (block, effects, spread): (Arc<Block>, BlockEffects, Spread),
        shares: usize,
        store: Option<Store<EvmLocation>>,
        spent: Vec<EvmState>,
        reverts: bool,
    ) -> (Self, Receiver<Result<Folded, u64>>, Sender<()>) {
        let buckets = shared_out(&effects, &spread, shares);
        let (folded, done) = bounded(buckets.len());
        let (folding, all_folded) = bounded(0);
        let closing = Self {
            block,
            effects: Mutex::new(Some(Arc::new(effects))),
            spread,
            buckets,
            next: AtomicU64::new(0),
            folded,
            all_folded,
            split: Mutex::new(None),
            store: Mutex::new(store),
            emptied: Mutex::new(None),
            spent: Mutex::new(spent),
            reverts: reverts.then(Mutex::default),
            joined: Mutex::new(None),
        };
        (closing, done, folding)
    }

    /// The cells of the next bucket, if there is one left.
    fn next_bucket(&self) -> Option<u64> {
        self.buckets.get(self.next.fetch_add(1, SeqCst) as usize).copied()
    }

    fn effects(&self) -> Arc<BlockEffects> {
        let Some(effects) = self.effects.lock().clone() else {
            unreachable!("nobody takes the effects before every bucket is folded")
        };
        effects
    }

    fn folds<'e>(&'e self, effects: &'e BlockEffects, cells: u64) -> Folds<'e> {
        // An account that is changed again and again is counted as often: hence a limit.
        let changes = effects.masks.iter().map(|changed| (changed & cells).count_ones() as usize);
        let limit = 2 * effects.masks.len() / self.buckets.len();
        Bucket::new(effects, None, (&self.spread, cells), changes.sum::<usize>().min(limit)).run()
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

    /// Puts together what is needed to undo the block, if nobody has begun with it. All buckets must be folded.
    fn join_reverts(&self) {
        let Some(reverts) = &self.reverts else { return };
        let parts = core::mem::take(&mut *reverts.lock());
        if !parts.is_empty() {
            *self.joined.lock() = Some(join(parts));
        }
    }

    /// Makes the receipts, if nobody has begun with it. All buckets must be folded.
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
        loop {
            let journal = self.spent.lock().pop();
            if journal.is_none() {
                return;
            }
        }
    }

    /// The caller's part; `done` are the buckets of others and `folding` tells them of the end.
    fn close(
        &self,
        seat: Seat<'_>,
        done: &Receiver<Result<Folded, u64>>,
        folding: Sender<()>,
    ) -> BundleState {
        let mut assembly = Assembly::new(self.reverts.is_some());
        let mut folding = Some(folding);
        let mut buckets = Buckets { unfolded: self.buckets.len(), ..Buckets::default() };
        loop {
            seat.yield_at(Point::Between);
            while let Ok(theirs) = done.try_recv() {
                buckets.take(theirs);
            }
            if buckets.unfolded == 0
                && let Some(folding) = folding.take()
            {
                self.keep_reverts(assembly.take_reverts());
                // The others go on to receipts and reverts.
                drop(folding);
            }
            // Only the caller can put into the bundle what others have folded: that comes first.
            if let Some(folded) = buckets.folded.pop() {
                expect(&mut assembly, folded.cells, folded.accounts.len());
                assembly.add_folded(folded);
            } else if buckets.unfolded == 0 {
                return assembly.finish();
            } else if let Some(cells) = buckets.given_back.pop().or_else(|| self.next_bucket()) {
                let effects = self.effects();
                let folds = self.folds(&effects, cells);
                expect(&mut assembly, cells, folds.len());
                assembly.add(folds.finish());
                buckets.unfolded -= 1;
            } else {
                // Every other bucket is in somebody's hands, who sends it whatever happens.
                match seat.recv(done) {
                    Some(theirs) => buckets.take(theirs),
                    None => unreachable!("the task itself holds a sender"),
                }
            }
        }
    }
}

/// A bucket that somebody folds. If that fails, by a bug of ours, the caller gets it back.
struct Promise<'a> {
    task: &'a Closing,
    bucket: u64,
    folded: Option<Folded>,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        // There is room for every bucket.
        let _ = self.task.folded.try_send(self.folded.take().ok_or(self.bucket));
    }
}

impl Task for Closing {
    fn run(&self, _: WorkerId, seat: Seat<'_>) {
        while let Some(bucket) = self.next_bucket() {
            let mut promise = Promise { task: self, bucket, folded: None };
            promise.folded = Some(self.fold(bucket));
            seat.yield_at(Point::Between);
        }
        self.empty_store();
        self.drop_spent();
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
    if let Some(reverts) = task.joined.lock().take() {
        bundle.reverts = Reverts::new(vec![reverts]);
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
    use crate::evm::change::{AccountChange, ChangeKind};
    use alloy_primitives::{Address, U256};
    use crossbeam_channel::TryRecvError;
    use revm::state::AccountInfo;

    /// Payments to accounts that are not there, in `shares` buckets.
    fn closing(shares: usize) -> (Closing, Receiver<Result<Folded, u64>>, Sender<()>) {
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
        Closing::new(parts, shares, None, Vec::new(), true)
    }

    #[test]
    fn a_bucket_that_its_worker_could_not_fold_is_folded_by_the_caller() {
        let (task, done, folding) = closing(1);
        let expected = task.close(SLEEPY, &done, folding);
        assert_eq!(expected.state.len(), 200);
        for shares in [2, 3, 8] {
            let (task, done, folding) = closing(shares);
            // One is given back, and one is folded by somebody else.
            let bucket = task.next_bucket().expect("there are two or more");
            drop(Promise { task: &task, bucket, folded: None });
            let bucket = task.next_bucket().expect("there are two or more");
            drop(Promise { task: &task, bucket, folded: Some(task.fold(bucket)) });
            let found = task.close(SLEEPY, &done, folding);
            assert_eq!(found.state, expected.state);
            task.join_reverts();
            assert_eq!(task.joined.lock().take().map(|reverts| reverts.len()), Some(200));
            // The others hear of it.
            assert_eq!(task.all_folded.try_recv(), Err(TryRecvError::Disconnected));
        }
    }
}
