//! Builds the bundle directly from the changes of transactions, account by account.
//!
//! revm's `State` commits one transaction after the other into a cache, on one thread, which takes
//! more than half the time of a plain transfer. Accounts are independent of each other here, so
//! workers divide them by hash and fold each account's changes in block order.

use super::block_effects::BlockEffects;
use super::fold::{AccountFold, BundleProgress};
use super::folded::FoldedAccount;
use super::undo::Large;
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
    /// Shards of this bucket.
    shard_mask: u64,
    /// Index of each account in `folds`.
    places: AddressMap<u32>,
    folds: Vec<(Address, Fold<'a>)>,
    /// Number of transactions processed so far.
    seen: usize,
    /// Accounts whose slot reverts are computed in separate jobs.
    large: &'a [Large],
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
        let places = AddressMap::with_capacity_and_hasher(accounts, Default::default());
        let folds = Vec::with_capacity(accounts);
        Self { effects, parent, bundle_shards, shard_mask, places, folds, seen: 0, large: &[] }
    }

    /// Leaves the slot reverts of `large` accounts to separate jobs.
    pub(in crate::evm) const fn without_undoing(mut self, large: &'a [Large]) -> Self {
        self.large = large;
        self
    }

    fn is_mine(&self, address: &Address) -> bool {
        self.shard_mask == u64::MAX || self.shard_mask & self.bundle_shards.shard(address) != 0
    }

    /// Returns the fold of an account, and whether it is `first`, inserted because there was none.
    fn fold(
        &mut self,
        address: Address,
        first: impl FnOnce() -> Fold<'a>,
    ) -> (&mut Fold<'a>, bool) {
        // Memory holds fewer accounts than a `u32` can number.
        let next = u32::try_from(self.folds.len()).unwrap_or(u32::MAX);
        let place = *self.places.entry(address).or_insert(next);
        let mut is_first = false;
        if place == next {
            let parent = self.parent.and_then(|parent| parent.account(&address));
            is_first = parent.is_none();
            let continued = |parent| Box::new(AccountFold::after_parent(parent));
            let fold = parent.map_or_else(first, |it| Fold::Continued(continued(it), it));
            self.folds.push((address, fold));
        }
        match self.folds.get_mut(place as usize) {
            Some((_, fold)) => (fold, is_first),
            None => unreachable!("every place was given out with a fold"),
        }
    }

    /// Returns the fold of an account for an effect other than a change. `before` is the account
    /// before the block, used if this is its first effect.
    fn account(&mut self, address: Address, before: &Option<AccountInfo>) -> &mut AccountFold {
        let begun = || AccountFold::before(before.clone());
        self.fold(address, || Fold::Often(Box::new(begun()))).0.often()
    }

    fn apply(&mut self, changes: &'a [AccountChange]) {
        let progress = BundleProgress { seen: self.seen, all: self.effects.outcomes.len() };
        for change in changes {
            if self.is_mine(&change.address) {
                let (fold, is_first) = self.fold(change.address, || Fold::Once(change));
                if is_first {
                    continue;
                }
                let fold = fold.often();
                fold.expect_slots(change.slots.len(), progress);
                fold.apply(change);
            }
        }
    }

    /// Adds blind credits of transactions.
    fn pay(&mut self, credits: &BlindCredits) {
        let receivers = &self.effects.receivers;
        receivers.credit(credits, |(address, before), amounts| {
            if self.is_mine(address) {
                let account = self.account(*address, before);
                amounts.iter().for_each(|amount| account.reward(receivers.reward(*amount)));
            }
        });
    }

    pub(in crate::evm) fn run(mut self) -> Folds<'a> {
        let effects = self.effects;
        self.apply(&effects.before);
        let pays_mine = effects.receivers.iter().any(|(payee, _)| self.is_mine(payee));
        for (seen, (outcome, shard_mask)) in
            effects.outcomes.iter().zip(&effects.shard_masks).enumerate()
        {
            self.seen = seen;
            let shard_mask = shard_mask & self.shard_mask;
            if shard_mask == 0 && !pays_mine {
                continue;
            }
            let Ok(Some(output)) = outcome else { continue };
            let late = mutant!(DeferredLate);
            if pays_mine && !late {
                self.pay(&output.credits);
            }
            if shard_mask != 0 {
                self.apply(&output.changes);
            }
            if pays_mine && late {
                self.pay(&output.credits);
            }
        }
        self.apply(&effects.after);
        for (address, before) in &effects.drained {
            if self.is_mine(address) {
                self.account(*address, before).drain();
            }
        }
        for (address, amount, before) in &effects.increments {
            if self.is_mine(address) {
                self.account(*address, before).increment(*amount);
            }
        }
        Folds { accounts: self.folds, large: self.large }
    }
}

/// Effects on one account. Most accounts change once, and a fold is large, so it is created only
/// when needed.
pub(super) enum Fold<'a> {
    Once(&'a AccountChange),
    Often(Box<AccountFold>),
    /// An account that the parent's bundle contains.
    Continued(Box<AccountFold>, &'a BundleAccount),
}

impl Fold<'_> {
    /// Returns the fold to which the next effect is applied.
    fn often(&mut self) -> &mut AccountFold {
        if let Self::Once(change) = *self {
            *self = Self::Often(Box::new(AccountFold::after(change)));
        }
        match self {
            Self::Often(fold) | Self::Continued(fold, _) => fold,
            Self::Once(_) => unreachable!("it has just been replaced"),
        }
    }
}

impl Fold<'_> {
    /// Returns the account's bundle entry. Other jobs compute the slot reverts of `large` accounts.
    pub(super) fn finish(self, address: Address, large: &[Large]) -> Option<FoldedAccount> {
        let is_large = || large.iter().any(|large| large.address == address);
        match self {
            Self::Once(change) => FoldedAccount::plain(change)
                .or_else(|| AccountFold::after(change).finish(is_large())),
            Self::Often(fold) => fold.finish(is_large()),
            Self::Continued(fold, parent) => fold.finish_after(parent),
        }
    }
}

/// The accounts of a bucket with all effects on them.
pub(in crate::evm) struct Folds<'a> {
    pub(super) accounts: Vec<(Address, Fold<'a>)>,
    pub(super) large: &'a [Large],
}

impl Folds<'_> {
    /// Number of accounts.
    pub(in crate::evm) const fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Finishes all accounts into bundle entries.
    pub(super) fn finish(self) -> impl Iterator<Item = (Address, FoldedAccount)> {
        let Self { accounts, large } = self;
        let finish =
            move |(address, fold): (_, Fold<'_>)| Some((address, fold.finish(address, large)?));
        accounts.into_iter().filter_map(finish)
    }
}
