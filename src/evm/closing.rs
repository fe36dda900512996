//! What is left to do when all transactions are committed, shared out among the workers: the
//! bundle, the receipts, and emptying the store for the next block.

use super::block::Block;
use super::bundle::{Assembly, BlockEffects, Bucket, CELLS, Folds, Spread, extend};
use super::crew::{Crew, Spare};
use super::fold::FoldedAccount;
use super::location::EvmLocation;
use super::receipts::{Split, split};
use crate::ids::WorkerId;
use crate::mv::Store;
use crate::runtime::{Task, Threads};
use crate::sync::{AtomicU64, Mutex, Receiver, Sender, SeqCst, bounded};
use crate::worker::Context;
use alloy_primitives::Address;
use core::cmp::Reverse;
use revm::database::BundleState;
use std::sync::Arc;

/// Transactions below which one thread is as fast where the others have just run some of them, and are
/// awake.
const WORTH_SHARING: usize = 32;
/// The same where they have slept.
const WORTH_WAKING: usize = 1_000;
/// Large buckets differ in their accounts by less than one in so many.
const SPREAD_OF_BUCKETS: usize = 8;
/// Buckets per worker, so that an uneven split costs little.
const BUCKETS_PER_WORKER: usize = 4;

/// What the end of a block is made of.
pub(super) struct Parts {
    pub(super) block: Arc<Block>,
    pub(super) effects: BlockEffects,
    pub(super) spread: Spread,
    /// The bundle to continue.
    pub(super) parent: Option<BundleState>,
    /// Whether the bundle gets what is needed to undo the block.
    pub(super) reverts: bool,
    /// Whether only the caller has run transactions.
    pub(super) alone: bool,
    /// Nobody needs what is in it.
    pub(super) store: Store<EvmLocation>,
}

/// One bucket's part of the bundle.
type Folded = Vec<(Address, FoldedAccount)>;

/// Accounts are folded in buckets; then the caller puts the bundle together, while another worker
/// makes the receipts.
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
    threads: Threads,
}

impl Closing {
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
        // Nearly all come to something; they are large, and growing would move them.
        let mut accounts = Vec::with_capacity(folds.len());
        accounts.extend(folds.finish());
        accounts
    }

    /// Makes the receipts, if nobody has begun with it. All buckets must be folded.
    fn split(&self) {
        let effects = self.effects.lock().take();
        if let Some(effects) = effects {
            let Some(effects) = Arc::into_inner(effects) else {
                unreachable!("nobody folds any more")
            };
            let done = split(&self.block, effects.outcomes, effects.mutant);
            *self.split.lock() = Some(done);
        }
    }

    /// Empties the store, if nobody has begun with it.
    fn empty_store(&self) {
        let full = self.store.lock().take();
        if let Some(full) = full {
            *self.emptied.lock() = Some(full.emptied());
        }
    }

    /// The caller's part; `done` are the buckets of others and `folding` tells them of the end.
    fn close(
        &self,
        done: &Receiver<Result<Folded, u64>>,
        folding: Sender<()>,
        reverts: bool,
    ) -> BundleState {
        let mut assembly = Assembly::new(reverts);
        let mut left = self.buckets.len();
        while left > 0 {
            // What others have folded comes first: only the caller can put it into the bundle.
            let theirs = match done.try_recv() {
                Ok(theirs) => Some(theirs),
                Err(_) => match self.next_bucket() {
                    Some(cells) => Some(Err(cells)),
                    // Every other bucket is in somebody's hands, who sends it whatever happens.
                    None => self.threads.recv(done),
                },
            };
            match theirs {
                Some(Ok(accounts)) => self.add(&mut assembly, accounts.len(), accounts.into_iter()),
                Some(Err(cells)) => {
                    let effects = self.effects();
                    let folds = self.folds(&effects, cells);
                    self.add(&mut assembly, folds.len(), folds.finish());
                }
                None => break,
            }
            left -= 1;
        }
        drop(folding);
        assembly.finish()
    }

    /// Adds the `count` accounts of a bucket. The first one tells how many there will be, about.
    fn add(
        &self,
        assembly: &mut Assembly,
        count: usize,
        accounts: impl Iterator<Item = (Address, FoldedAccount)>,
    ) {
        if assembly.is_empty() {
            let others = self.buckets.len() - 1;
            assembly.expect(count + others * (count + count / SPREAD_OF_BUCKETS));
        }
        assembly.add(accounts);
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
    fn run(&self, _: WorkerId) {
        while let Some(bucket) = self.next_bucket() {
            let mut promise = Promise { task: self, bucket, folded: None };
            promise.folded = Some(self.fold(bucket));
        }
        self.empty_store();
        // Nobody sends: it ends when the sender is gone.
        let _ = self.threads.recv(&self.all_folded);
        self.split();
    }
}

/// Shares the cells out among up to `shares` buckets. Those with the most changes come first: an account
/// that all transactions change keeps one worker busy for as long as many others do.
fn shared_out(effects: &BlockEffects, spread: &Spread, shares: usize) -> Vec<u64> {
    let shares = shares.min(CELLS as usize);
    if shares <= 1 {
        return vec![u64::MAX];
    }
    let rewards = spread.cell(&effects.beneficiary.0);
    let weigh = |share| {
        let cells =
            (share..CELLS as usize).step_by(shares).fold(0, |cells, cell| cells | 1 << cell);
        let changes = |mask: &u64| ((mask | rewards) & cells).count_ones() as usize;
        (Reverse(effects.masks.iter().map(changes).sum::<usize>()), cells)
    };
    let mut buckets: Vec<(Reverse<usize>, u64)> = (0..shares).map(weigh).collect();
    buckets.sort_unstable();
    buckets.into_iter().map(|(_, cells)| cells).collect()
}

/// The bundle of a block, with one entry of reverts for the block, its outcomes and its receipts.
pub(super) fn close<'env>(parts: Parts, crew: &mut impl Crew<'env>) -> (BundleState, Split) {
    let Parts { block, effects, spread, parent, reverts, alone, store } = parts;
    if let Some(parent) = parent {
        crew.keep_store(Spare(store.emptied()));
        let bundle = extend(&effects, parent, reverts);
        return (bundle, split(&block, effects.outcomes, effects.mutant));
    }
    let enough = if alone { WORTH_WAKING } else { WORTH_SHARING };
    let sharing = effects.outcomes.len() >= enough && crew.workers() > 1;
    let shares = if sharing { crew.workers() * BUCKETS_PER_WORKER } else { 1 };
    let buckets = shared_out(&effects, &spread, shares);
    let (folded, done) = bounded(buckets.len());
    let (folding, all_folded) = bounded(0);
    let task = Arc::new(Closing {
        block,
        effects: Mutex::new(Some(Arc::new(effects))),
        spread,
        buckets,
        next: AtomicU64::new(0),
        folded,
        all_folded,
        split: Mutex::new(None),
        store: Mutex::new(Some(store)),
        emptied: Mutex::new(None),
        threads: crew.threads(),
    });
    let own = || {
        let bundle = task.close(&done, folding, reverts);
        // Unless others have come.
        task.split();
        task.empty_store();
        bundle
    };
    let bundle = if sharing {
        let shared: Arc<dyn Task + 'env> = task.clone();
        crew.run(&shared, own)
    } else {
        own()
    };
    if let Some(store) = task.emptied.lock().take() {
        crew.keep_store(Spare(store));
    }
    let split = task.split.lock().take();
    (bundle, split.unwrap_or_default())
}
