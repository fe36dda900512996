//! Builds the block's bundle straight from what the transactions left, account by account.
//!
//! revm's `State` commits one transaction after the other into a cache, on one thread, and that
//! takes more than half of a plain transfer's time. Accounts do not depend on each other here,
//! so the workers share them out by hash and fold each account's effects in block order.

use super::change::AccountChange;
use super::crew::{Crew, Spare};
use super::fold::{AccountFold, FoldedAccount};
use super::location::{EvmLocation, Reward};
use super::mutants::EvmMutant;
use crate::ids::WorkerId;
use crate::mv::Store;
use crate::runtime::Task;
use crate::sync::{AtomicU64, Mutex, Receiver, Sender, SeqCst, bounded};
use alloy_primitives::{Address, U256, map::AddressMap};
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use revm::database::BundleState;
use revm::database::states::TransitionState;
use revm::database::states::bundle_state::BundleRetention;
use revm::database::states::reverts::Reverts;
use revm::state::AccountInfo;
use std::sync::Arc;

/// Transactions below which one thread is as fast.
const WORTH_SHARING: usize = 32;
/// Buckets per worker, so that an uneven split costs little.
const BUCKETS_PER_WORKER: usize = 4;
/// Cells that accounts are spread over; a bucket has several of them.
const CELLS: u64 = 64;

/// Spreads accounts over cells, under a secret seed.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread(RandomState);

impl Spread {
    fn cell(&self, address: &Address) -> u32 {
        (self.0.hash_one(EvmLocation::Account(*address)) % CELLS) as u32
    }

    /// One bit for each cell that `changes` are in.
    pub(super) fn mask(&self, changes: &[AccountChange]) -> u64 {
        changes.iter().fold(0, |mask, change| mask | 1 << self.cell(&change.address))
    }
}

/// What one transaction changed.
#[derive(Clone, Debug)]
pub(super) struct TxEffects {
    /// Cells of the changes: most buckets need not look at them.
    pub(super) mask: u64,
    /// The beneficiary's reward, if it is not among the changes.
    pub(super) reward: Option<U256>,
    /// What it paid on top of its gas, if that is not among the changes.
    pub(super) surcharge: Option<Box<U256>>,
    pub(super) changes: Arc<Vec<AccountChange>>,
}

/// Everything that changes accounts in a block, in order.
#[derive(Debug, Default)]
pub(super) struct BlockEffects {
    /// What the pre-block calls left.
    pub(super) before: Vec<AccountChange>,
    /// What the transactions left.
    pub(super) transactions: Vec<TxEffects>,
    /// What the post-block calls left.
    pub(super) after: Vec<AccountChange>,
    /// Accounts that the DAO fork drains.
    pub(super) drained: Vec<(Address, Option<AccountInfo>)>,
    /// Wei that the end of the block adds, with the accounts as they are before the block, for
    /// those that nothing else has touched.
    pub(super) increments: Vec<(Address, u128, Option<AccountInfo>)>,
    /// Receiver of rewards that were set aside, as it is before the block.
    pub(super) beneficiary: (Address, Option<AccountInfo>),
    /// Receiver of surcharges that were set aside, as it is before the block.
    pub(super) surcharged: (Address, Option<AccountInfo>),
    /// Whether a touch alone creates an account: before EIP-161.
    pub(super) touch_creates: bool,
    /// A bug to seed, for tests of the tests.
    pub(super) mutant: EvmMutant,
}

/// Folds one bucket's accounts.
struct Bucket<'a> {
    effects: &'a BlockEffects,
    parent: Option<&'a BundleState>,
    spread: &'a Spread,
    /// Its cells.
    mask: u64,
    /// Where each account lies in `folds`.
    places: AddressMap<u32>,
    folds: Folds,
}

impl<'a> Bucket<'a> {
    /// An empty one, with room for `accounts`.
    fn new(
        effects: &'a BlockEffects,
        parent: Option<&'a BundleState>,
        (spread, mask): (&'a Spread, u64),
        accounts: usize,
    ) -> Self {
        let places = AddressMap::with_capacity_and_hasher(accounts, Default::default());
        Self { effects, parent, spread, mask, places, folds: Vec::with_capacity(accounts) }
    }

    fn is_mine(&self, address: &Address) -> bool {
        self.mask == u64::MAX || self.mask & (1 << self.spread.cell(address)) != 0
    }

    fn fold(&mut self, address: Address, before: impl FnOnce() -> AccountFold) -> &mut AccountFold {
        // There are fewer accounts than addresses of them fit into memory.
        let next = u32::try_from(self.folds.len()).unwrap_or(u32::MAX);
        let place = *self.places.entry(address).or_insert(next);
        if place == next {
            let parent = self.parent.and_then(|parent| parent.account(&address));
            let begun = parent.map_or_else(before, AccountFold::after_parent);
            self.folds.push((address, begun.with_mutant(self.effects.mutant)));
        }
        match self.folds.get_mut(place as usize) {
            Some((_, fold)) => fold,
            None => unreachable!("every place was given out with a fold"),
        }
    }

    fn apply(&mut self, changes: &[AccountChange]) {
        for change in changes {
            if self.is_mine(&change.address) {
                let before = || AccountFold::before(change.before.clone());
                self.fold(change.address, before).apply(change);
            }
        }
    }

    fn run(mut self) -> Folds {
        let effects = self.effects;
        self.apply(&effects.before);
        let (beneficiary, before) = &effects.beneficiary;
        let rewards_mine = self.is_mine(beneficiary);
        let surcharges_mine = self.is_mine(&effects.surcharged.0);
        for transaction in &effects.transactions {
            if transaction.mask & self.mask != 0 {
                self.apply(&transaction.changes);
            }
            if let Some(amount) = transaction.surcharge.as_deref().filter(|_| surcharges_mine) {
                let BlockEffects { touch_creates, mutant, .. } = *effects;
                let reward = Reward { amount: *amount, touch_creates, mutant };
                let (receiver, before) = &effects.surcharged;
                self.fold(*receiver, || AccountFold::before(before.clone())).reward(reward);
            }
            if let Some(amount) = transaction.reward.filter(|_| rewards_mine) {
                let BlockEffects { touch_creates, mutant, .. } = *effects;
                let reward = Reward { amount, touch_creates, mutant };
                self.fold(*beneficiary, || AccountFold::before(before.clone())).reward(reward);
            }
        }
        self.apply(&effects.after);
        for (address, before) in &effects.drained {
            if self.is_mine(address) {
                self.fold(*address, || AccountFold::before(before.clone())).drain();
            }
        }
        for (address, amount, before) in &effects.increments {
            if self.is_mine(address) {
                self.fold(*address, || AccountFold::before(before.clone())).increment(*amount);
            }
        }
        self.folds
    }
}

/// Accounts with all that happened to them, one after the other.
type Folds = Vec<(Address, AccountFold)>;

/// What a bucket's `folds` come to.
fn finished_bucket(folds: Folds) -> Vec<(Address, FoldedAccount)> {
    // Nearly all come to something; they are large, and growing would move them.
    let mut accounts = Vec::with_capacity(folds.len());
    accounts.extend(finished(folds));
    accounts
}

/// What `folds` come to in the bundle.
fn finished(folds: Folds) -> impl Iterator<Item = (Address, FoldedAccount)> {
    folds.into_iter().filter_map(|(address, fold)| Some((address, fold.finish()?)))
}

/// Shares the buckets out among the workers.
struct BundleTask {
    /// Whoever folds holds on to them; whoever is done first waits to take them apart.
    effects: Mutex<Option<Arc<BlockEffects>>>,
    spread: Spread,
    buckets: u64,
    next: AtomicU64,
    folded: Sender<Result<Vec<(Address, FoldedAccount)>, u64>>,
    /// Ends when the caller folds no more.
    caller_folds: Receiver<()>,
    /// Emptying it is work too.
    store: Mutex<Option<Store<EvmLocation>>>,
    emptied: Mutex<Option<Store<EvmLocation>>>,
}

impl BundleTask {
    /// The next bucket, if there is one left.
    fn next_bucket(&self) -> Option<u64> {
        Some(self.next.fetch_add(1, SeqCst)).filter(|bucket| *bucket < self.buckets)
    }

    fn empty_store(&self) {
        let full = self.store.lock().take();
        if let Some(full) = full {
            *self.emptied.lock() = Some(full.emptied());
        }
    }

    fn fold(&self, bucket: u64) -> Folds {
        let Some(effects) = self.effects.lock().clone() else {
            unreachable!("nobody takes the effects before every bucket is folded")
        };
        let cells = (0..CELLS).filter(|cell| cell % self.buckets == bucket);
        let mask = cells.fold(0, |mask, cell| mask | 1 << cell);
        // An account that is changed again and again is counted as often: hence a limit.
        let changed = |tx: &TxEffects| (tx.mask & mask).count_ones() as usize;
        let share = 2 * effects.transactions.len() / self.buckets as usize;
        let accounts = effects.transactions.iter().map(changed).sum::<usize>().min(share);
        Bucket::new(&effects, None, (&self.spread, mask), accounts).run()
    }
}

/// A bucket that somebody folds. If that fails, by a bug of ours, the caller gets it back.
struct Promise<'a> {
    task: &'a BundleTask,
    bucket: u64,
    folded: Option<Vec<(Address, FoldedAccount)>>,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        // There is room for every bucket.
        let _ = self.task.folded.try_send(self.folded.take().ok_or(self.bucket));
    }
}

impl Task for BundleTask {
    /// What the caller does not need for the bundle is emptied or taken apart here, while the caller puts the
    /// bundle together.
    fn run(&self, _: WorkerId) {
        while let Some(bucket) = self.next_bucket() {
            let mut promise = Promise { task: self, bucket, folded: None };
            promise.folded = Some(finished_bucket(self.fold(bucket)));
        }
        self.empty_store();
        // Nobody sends: it ends when the sender is gone.
        let _ = self.caller_folds.recv();
        drop(self.effects.lock().take());
    }
}

/// What the bundle is made of.
pub(super) struct Parts {
    pub(super) effects: BlockEffects,
    pub(super) spread: Spread,
    /// The bundle to continue.
    pub(super) parent: Option<BundleState>,
    /// Whether the bundle gets what is needed to undo the block.
    pub(super) reverts: bool,
    /// Nobody needs what is in it.
    pub(super) store: Store<EvmLocation>,
}

/// The bundle of a block, with one entry of reverts for the block; the caller does `alongside`
/// before it lends a hand.
pub(super) fn build<'env, R>(
    parts: Parts,
    crew: &mut impl Crew<'env>,
    alongside: impl FnOnce() -> R,
) -> (BundleState, R) {
    let Parts { effects, spread, parent, reverts, store } = parts;
    if let Some(parent) = parent {
        crew.keep_store(Spare(store.emptied()));
        return (extend(&effects, parent, reverts), alongside());
    }
    let sharing = effects.transactions.len() >= WORTH_SHARING && crew.workers() > 1;
    let shares = crew.workers() * BUCKETS_PER_WORKER;
    let buckets = if sharing { shares.min(CELLS as usize) } else { 1 };
    let (folded, done) = bounded(buckets);
    let (folding, caller_folds) = bounded(0);
    let task = Arc::new(BundleTask {
        effects: Mutex::new(Some(Arc::new(effects))),
        spread,
        buckets: buckets as u64,
        next: AtomicU64::new(0),
        folded,
        caller_folds,
        store: Mutex::new(Some(store)),
        emptied: Mutex::new(None),
    });
    let own = || {
        let aside = alongside();
        if !sharing {
            let folds = task.fold(0);
            let accounts = folds.len();
            return (assemble(finished(folds), accounts, reverts), aside);
        }
        let mut folded = Vec::with_capacity(buckets);
        while let Some(bucket) = task.next_bucket() {
            folded.push(finished_bucket(task.fold(bucket)));
        }
        // Every other bucket is in somebody's hands, who sends it whatever happens.
        while folded.len() < buckets
            && let Ok(theirs) = done.recv()
        {
            folded.push(theirs.unwrap_or_else(|bucket| finished_bucket(task.fold(bucket))));
        }
        drop(folding);
        let accounts = folded.iter().map(Vec::len).sum();
        (assemble(folded.into_iter().flatten(), accounts, reverts), aside)
    };
    let built = if sharing {
        let shared: Arc<dyn Task + 'env> = task.clone();
        crew.run(&shared, own)
    } else {
        own()
    };
    // Nobody else may have come.
    task.empty_store();
    if let Some(store) = task.emptied.lock().take() {
        crew.keep_store(Spare(store));
    }
    built
}

/// Puts the folded accounts together, of which there are `count`.
fn assemble(
    accounts: impl Iterator<Item = (Address, FoldedAccount)>,
    count: usize,
    reverts: bool,
) -> BundleState {
    let mut bundle = BundleState::default();
    bundle.state.reserve(count);
    let mut block_reverts = Vec::with_capacity(if reverts { count } else { 0 });
    for (address, FoldedAccount { account, revert, contract }) in accounts {
        bundle.state_size += account.size_hint();
        bundle.state.insert(address, account);
        if let Some((hash, code)) = contract {
            bundle.contracts.insert(hash, code);
        }
        if reverts {
            bundle.reverts_size += revert.size_hint();
            block_reverts.push((address, revert));
        }
    }
    bundle.reverts = Reverts::new(vec![block_reverts]);
    bundle
}

/// Continues a parent's bundle, as revm's `State` with a bundle prestate does.
fn extend(effects: &BlockEffects, mut parent: BundleState, reverts: bool) -> BundleState {
    let spread = Spread::default();
    let folds = Bucket::new(effects, Some(&parent), (&spread, u64::MAX), 0).run();
    let transitions = folds
        .into_iter()
        .filter_map(|(address, fold)| Some((address, fold.into_transition()?)))
        .collect();
    let retention = if reverts { BundleRetention::Reverts } else { BundleRetention::PlainState };
    parent.apply_transitions_and_create_reverts(TransitionState { transitions }, retention);
    parent
}
