//! Builds the block's bundle straight from what the transactions left, account by account.
//!
//! revm's `State` commits one transaction after the other into a cache, on one thread, and that
//! takes more than half of a plain transfer's time. Accounts do not depend on each other here,
//! so the workers share them out by hash and fold each account's effects in block order.

use super::change::AccountChange;
use super::crew::Crew;
use super::fold::{AccountFold, FoldedAccount};
use super::location::Reward;
use super::machine::TxOutput;
use crate::ids::WorkerId;
use crate::runtime::Task;
use crate::sync::Mutex;
use alloy_primitives::{Address, map::AddressMap};
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use revm::database::states::TransitionState;
use revm::database::states::bundle_state::BundleRetention;
use revm::database::states::reverts::Reverts;
use revm::database::{AccountRevert, BundleState};
use revm::state::AccountInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Transactions below which one thread is as fast.
const WORTH_SHARING: usize = 32;
/// Buckets per worker, so that an uneven split costs little.
const BUCKETS_PER_WORKER: usize = 4;

/// Everything that changes accounts in a block, in order.
#[derive(Debug, Default)]
pub(super) struct BlockEffects {
    /// What the pre-block calls left.
    pub(super) before: Vec<AccountChange>,
    /// What the transactions left.
    pub(super) transactions: Vec<Arc<TxOutput>>,
    /// What the post-block calls left.
    pub(super) after: Vec<AccountChange>,
    /// Accounts that the DAO fork drains.
    pub(super) drained: Vec<(Address, Option<AccountInfo>)>,
    /// Wei that the end of the block adds, with the accounts as they are before the block, for
    /// those that nothing else has touched.
    pub(super) increments: Vec<(Address, u128, Option<AccountInfo>)>,
    /// Receiver of rewards that were set aside, as it is before the block.
    pub(super) beneficiary: (Address, Option<AccountInfo>),
    /// Whether a touch alone creates an account: before EIP-161.
    pub(super) touch_creates: bool,
}

impl BlockEffects {
    /// How many accounts it is about, counting some twice.
    fn accounts(&self) -> usize {
        self.transactions.iter().map(|output| output.changes.len()).sum()
    }
}

/// Folds one bucket's accounts.
struct Bucket<'a> {
    effects: &'a BlockEffects,
    parent: Option<&'a BundleState>,
    hasher: &'a RandomState,
    bucket: usize,
    buckets: usize,
    folds: AddressMap<AccountFold>,
}

impl Bucket<'_> {
    fn is_mine(&self, address: &Address) -> bool {
        self.buckets == 1 || self.hasher.hash_one(address) as usize % self.buckets == self.bucket
    }

    fn fold(&mut self, address: Address, before: impl FnOnce() -> AccountFold) -> &mut AccountFold {
        let parent = self.parent.and_then(|parent| parent.account(&address));
        self.folds
            .entry(address)
            .or_insert_with(|| parent.map_or_else(before, AccountFold::after_parent))
    }

    fn apply(&mut self, changes: &[AccountChange]) {
        for change in changes {
            if self.is_mine(&change.address) {
                let before = || AccountFold::before(change.before.clone());
                self.fold(change.address, before).apply(change);
            }
        }
    }

    fn run(mut self) -> AddressMap<AccountFold> {
        let effects = self.effects;
        self.apply(&effects.before);
        let (beneficiary, before) = &effects.beneficiary;
        let rewards_mine = self.is_mine(beneficiary);
        for output in &effects.transactions {
            self.apply(&output.changes);
            if let Some(amount) = output.reward.filter(|_| rewards_mine) {
                let reward = Reward { amount, touch_creates: effects.touch_creates };
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

/// Shares the buckets out among the workers.
struct BundleTask {
    effects: BlockEffects,
    hasher: RandomState,
    buckets: usize,
    next: AtomicUsize,
    done: Mutex<Vec<Vec<(Address, FoldedAccount)>>>,
}

impl BundleTask {
    fn work(&self) {
        loop {
            // Relaxed is enough for a ticket, but nothing here is hot enough to argue about it.
            let bucket = self.next.fetch_add(1, Ordering::SeqCst);
            if bucket >= self.buckets {
                return;
            }
            let bucket = Bucket {
                effects: &self.effects,
                parent: None,
                hasher: &self.hasher,
                bucket,
                buckets: self.buckets,
                folds: AddressMap::with_capacity_and_hasher(
                    self.effects.accounts() / self.buckets,
                    Default::default(),
                ),
            };
            let folds = bucket.run();
            let mut folded = Vec::with_capacity(folds.len());
            folded.extend(
                folds.into_iter().filter_map(|(address, fold)| Some((address, fold.finish()?))),
            );
            self.done.lock().push(folded);
        }
    }
}

impl Task for BundleTask {
    fn run(&self, _: WorkerId) {
        self.work();
    }
}

/// The bundle of a block over `parent`, with one entry of reverts for the block, empty unless
/// `reverts`.
pub(super) fn build<'env>(
    effects: BlockEffects,
    parent: Option<BundleState>,
    reverts: bool,
    crew: &mut impl Crew<'env>,
) -> BundleState {
    if let Some(parent) = parent {
        return extend(&effects, parent, reverts);
    }
    let sharing = effects.transactions.len() >= WORTH_SHARING && crew.workers() > 1;
    let buckets = if sharing { crew.workers() * BUCKETS_PER_WORKER } else { 1 };
    let task = Arc::new(BundleTask {
        effects,
        hasher: RandomState::default(),
        buckets,
        next: AtomicUsize::new(0),
        done: Mutex::new(Vec::new()),
    });
    if sharing {
        let shared: Arc<dyn Task + 'env> = task.clone();
        crew.run(&shared, || task.work());
    } else {
        task.work();
    }
    let folded = core::mem::take(&mut *task.done.lock());
    assemble(folded, reverts)
}

/// Puts the folded accounts together.
fn assemble(folded: Vec<Vec<(Address, FoldedAccount)>>, reverts: bool) -> BundleState {
    let mut bundle = BundleState::default();
    let accounts = folded.iter().map(Vec::len).sum();
    bundle.state.reserve(accounts);
    let mut block_reverts: Vec<(Address, AccountRevert)> =
        Vec::with_capacity(if reverts { accounts } else { 0 });
    for (address, folded) in folded.into_iter().flatten() {
        let FoldedAccount { account, revert, contract } = folded;
        if let Some((hash, code)) = contract {
            bundle.contracts.insert(hash, code);
        }
        bundle.state_size += account.size_hint();
        bundle.state.insert(address, account);
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
    let hasher = RandomState::default();
    let bucket = Bucket {
        effects,
        parent: Some(&parent),
        hasher: &hasher,
        bucket: 0,
        buckets: 1,
        folds: AddressMap::default(),
    };
    let folds = bucket.run();
    let transitions = folds
        .into_iter()
        .filter_map(|(address, fold)| Some((address, fold.into_transition()?)))
        .collect();
    let retention = if reverts { BundleRetention::Reverts } else { BundleRetention::PlainState };
    parent.apply_transitions_and_create_reverts(TransitionState { transitions }, retention);
    parent
}
