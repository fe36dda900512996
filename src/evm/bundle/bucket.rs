//! Builds the bundle directly from the changes of transactions, account by account.
//!
//! revm's `State` commits one transaction after the other into a cache, on one thread, which takes
//! more than half the time of a plain transfer. Accounts are independent of each other here, so
//! workers share them out by hash and fold each account's changes in block order.

use super::block_effects::BlockEffects;
use super::fold::{AccountFold, BundleProgress};
use super::folded::FoldedAccount;
use super::undo::LargeAccount;
use crate::evm::exec::bundle_shards::BundleShards;
use crate::evm::exec::change::AccountChange;
use crate::evm::fees::blind_credits::BlindCredits;
use alloy_primitives::{Address, map::AddressMap};
use revm::database::{BundleAccount, BundleState};
use revm::state::AccountInfo;

/// Folds the accounts of one bucket.
pub(in crate::evm) struct Bucket<'a> {
    effects: &'a BlockEffects,
    parent: Option<&'a BundleState>,
    bundle_shards: &'a BundleShards,
    /// Bit mask of the bucket's shards.
    shard_mask: u64,
    /// Index of each account in `folds`.
    indices: AddressMap<u32>,
    folds: Vec<(Address, LazyFold<'a>)>,
    /// Number of transactions processed so far.
    seen: usize,
    /// Accounts whose slot reverts are computed in separate jobs.
    large: &'a [LargeAccount],
}

impl<'a> Bucket<'a> {
    /// Creates an empty bucket with room for `accounts` accounts.
    pub(in crate::evm) fn new(
        effects: &'a BlockEffects,
        parent: Option<&'a BundleState>,
        bundle_shards: &'a BundleShards,
        shard_mask: u64,
        accounts: usize,
    ) -> Self {
        let indices = AddressMap::with_capacity_and_hasher(accounts, Default::default());
        let folds = Vec::with_capacity(accounts);
        Self { effects, parent, bundle_shards, shard_mask, indices, folds, seen: 0, large: &[] }
    }

    /// Leaves the slot reverts of `large` accounts to separate jobs.
    pub(in crate::evm) const fn with_large_accounts(mut self, large: &'a [LargeAccount]) -> Self {
        self.large = large;
        self
    }

    /// Whether the account belongs to this bucket.
    fn has_account(&self, address: &Address) -> bool {
        self.shard_mask == u64::MAX || self.shard_mask & self.bundle_shards.shard(address) != 0
    }

    /// Returns the fold of an account, and whether `first` has just inserted it.
    fn fold(
        &mut self,
        address: Address,
        first: impl FnOnce() -> LazyFold<'a>,
    ) -> (&mut LazyFold<'a>, bool) {
        // Memory cannot hold 2^32 accounts.
        let next = u32::try_from(self.folds.len()).unwrap_or(u32::MAX);
        let index = *self.indices.entry(address).or_insert(next);
        let mut is_first = false;
        if index == next {
            let parent = self.parent.and_then(|parent| parent.account(&address));
            is_first = parent.is_none();
            let continued = |parent| Box::new(AccountFold::after_parent(parent));
            let fold = parent.map_or_else(first, |it| LazyFold::Continued(continued(it), it));
            self.folds.push((address, fold));
        }
        match self.folds.get_mut(index as usize) {
            Some((_, fold)) => (fold, is_first),
            None => unreachable!("every index has a fold"),
        }
    }

    /// Returns the fold of an account for an effect other than a change. `before` is the account
    /// before the block, used if this is its first effect.
    fn account(&mut self, address: Address, before: &Option<AccountInfo>) -> &mut AccountFold {
        let new_fold = || AccountFold::before(before.clone());
        self.fold(address, || LazyFold::Folded(Box::new(new_fold()))).0.fold_mut()
    }

    fn apply(&mut self, changes: &'a [AccountChange]) {
        let progress = BundleProgress { seen: self.seen, all: self.effects.outcomes.len() };
        for change in changes {
            if self.has_account(&change.address) {
                let (fold, is_first) = self.fold(change.address, || LazyFold::Once(change));
                if is_first {
                    continue;
                }
                let fold = fold.fold_mut();
                fold.expect_slots(change.slots.len(), progress);
                fold.apply(change);
            }
        }
    }

    /// Adds blind credits of transactions.
    fn pay(&mut self, credits: &BlindCredits) {
        let receivers = &self.effects.receivers;
        receivers.credit(credits, |(address, before), amounts| {
            if self.has_account(address) {
                let account = self.account(*address, before);
                amounts.iter().for_each(|amount| account.reward(receivers.reward(*amount)));
            }
        });
    }

    /// Folds all effects of the block on the bucket's accounts.
    pub(in crate::evm) fn run(mut self) -> BucketFolds<'a> {
        let effects = self.effects;
        self.apply(&effects.before);
        let has_receivers = effects.receivers.iter().any(|(payee, _)| self.has_account(payee));
        for (seen, (outcome, shard_mask)) in
            effects.outcomes.iter().zip(&effects.shard_masks).enumerate()
        {
            self.seen = seen;
            let shard_mask = shard_mask & self.shard_mask;
            if shard_mask == 0 && !has_receivers {
                continue;
            }
            let Ok(Some(output)) = outcome else { continue };
            let late = mutant!(DeferredLate);
            if has_receivers && !late {
                self.pay(&output.credits);
            }
            if shard_mask != 0 {
                self.apply(&output.changes);
            }
            if has_receivers && late {
                self.pay(&output.credits);
            }
        }
        self.apply(&effects.after);
        for (address, before) in &effects.drained {
            if self.has_account(address) {
                self.account(*address, before).drain();
            }
        }
        for (address, amount, before) in &effects.increments {
            if self.has_account(address) {
                self.account(*address, before).increment(*amount);
            }
        }
        BucketFolds { accounts: self.folds, large: self.large }
    }
}

/// Effects on one account. Most accounts change only once, and an [`AccountFold`] is large, so it
/// is created when the second effect arrives.
pub(super) enum LazyFold<'a> {
    Once(&'a AccountChange),
    Folded(Box<AccountFold>),
    /// An account that the parent's bundle contains.
    Continued(Box<AccountFold>, &'a BundleAccount),
}

impl LazyFold<'_> {
    /// Returns the fold to which the next effect is applied.
    fn fold_mut(&mut self) -> &mut AccountFold {
        if let Self::Once(change) = *self {
            *self = Self::Folded(Box::new(AccountFold::after(change)));
        }
        match self {
            Self::Folded(fold) | Self::Continued(fold, _) => fold,
            Self::Once(_) => unreachable!("the variant has just been replaced"),
        }
    }
}

impl LazyFold<'_> {
    /// Returns the account's bundle entry. Other jobs compute the slot reverts of `large` accounts.
    pub(super) fn finish(self, address: Address, large: &[LargeAccount]) -> Option<FoldedAccount> {
        let is_large = || large.iter().any(|large| large.address == address);
        match self {
            Self::Once(change) => FoldedAccount::plain(change)
                .or_else(|| AccountFold::after(change).finish(is_large())),
            Self::Folded(fold) => fold.finish(is_large()),
            Self::Continued(fold, parent) => fold.finish_after(parent),
        }
    }
}

/// The accounts of a bucket with all effects on them.
pub(in crate::evm) struct BucketFolds<'a> {
    pub(super) accounts: Vec<(Address, LazyFold<'a>)>,
    pub(super) large: &'a [LargeAccount],
}

impl BucketFolds<'_> {
    /// Number of accounts.
    pub(in crate::evm) const fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Finishes all accounts into bundle entries.
    pub(super) fn finish(self) -> impl Iterator<Item = (Address, FoldedAccount)> {
        let Self { accounts, large } = self;
        let finish =
            move |(address, fold): (_, LazyFold<'_>)| Some((address, fold.finish(address, large)?));
        accounts.into_iter().filter_map(finish)
    }
}
