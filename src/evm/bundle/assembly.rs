//! Assembles accounts into a block's bundle.

use super::bucket::{BucketFolds, LazyFold};
use super::folded::{AccountReverted, FoldedAccount, keeps_slots};
use super::shares::FoldedBucket;
use crate::evm::exec::bundle_shards::BUNDLE_SHARDS;
use crate::evm::exec::change::AccountChange;
use alloy_primitives::map::Entry;
use alloy_primitives::{Address, B256};
use revm::bytecode::Bytecode;
use revm::database::{BundleAccount, BundleState};

/// Safety margin of the estimated number of accounts: one extra per `MARGIN_ONE_IN` accounts.
const MARGIN_ONE_IN: usize = 8;

/// A bundle under construction.
pub(in crate::evm) struct BundleAssembly {
    bundle: BundleState,
    /// Reverts of the block, if they are wanted.
    reverts: Option<Vec<AccountReverted>>,
    /// Accounts whose slot reverts are computed separately.
    undone_separately: Vec<Address>,
}

impl BundleAssembly {
    pub(in crate::evm) fn new(reverts: bool) -> Self {
        Self::after(BundleState::default(), reverts)
    }

    /// Creates a bundle that continues `parent`.
    pub(in crate::evm) fn after(parent: BundleState, reverts: bool) -> Self {
        Self { bundle: parent, reverts: reverts.then(Vec::new), undone_separately: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bundle.state.is_empty()
    }

    /// Number of accounts that the bundle can hold without growing.
    pub(super) fn room(&self) -> usize {
        let reverts = self.reverts.as_ref().map_or(usize::MAX, Vec::capacity);
        self.bundle.state.capacity().min(reverts)
    }

    /// Reserves room for `accounts` more accounts. They are large, and growing would move them.
    pub(in crate::evm) fn expect(&mut self, accounts: usize) {
        self.bundle.state.reserve(accounts);
        if let Some(reverts) = &mut self.reverts {
            reverts.reserve(accounts);
        }
    }

    /// Inserts an account as the block left it. Slots of the account in a parent bundle stay if the
    /// account [keeps](keeps_slots) them.
    fn insert(&mut self, address: Address, account: BundleAccount) {
        let BundleState { state, state_size, .. } = &mut self.bundle;
        match state.entry(address) {
            Entry::Vacant(place) => {
                *state_size += account.size_hint();
                place.insert(account);
            }
            Entry::Occupied(place) => {
                let old = place.into_mut();
                *state_size -= old.size_hint();
                if keeps_slots(account.status) && !mutant!(ParentSlotsLost) {
                    old.info = account.info;
                    old.original_info = account.original_info;
                    old.status = account.status;
                    old.storage.reserve(account.storage.len());
                    for (at, slot) in account.storage {
                        old.storage.entry(at).or_insert(slot).present_value = slot.present_value;
                    }
                } else {
                    *old = account;
                }
                *state_size += old.size_hint();
            }
        }
    }

    /// Adds an account that the block has not added yet.
    pub(super) fn add(&mut self, address: Address, folded: FoldedAccount) {
        let is_reverted = folded.is_reverted();
        let FoldedAccount { account, revert, contract, is_undone_separately } = folded;
        self.insert(address, account);
        let Self { bundle, reverts, undone_separately, .. } = self;
        undone_separately.extend(is_undone_separately.then_some(address));
        bundle.contracts.extend(contract);
        if let Some(reverts) = reverts.as_mut().filter(|_| is_reverted) {
            bundle.reverts_size += revert.size_hint();
            reverts.push((address, revert));
        }
    }

    /// Adds the accounts of a bucket, which the block has not added yet.
    pub(in crate::evm) fn add_folds(&mut self, folds: BucketFolds<'_>) {
        let BucketFolds { accounts, large } = folds;
        for (address, fold) in accounts {
            // Build the common case in place: a finished account has some 600 bytes.
            if let LazyFold::Once(change) = &fold
                && self.add_plain(change)
            {
                continue;
            }
            if let Some(folded) = fold.finish(address, large) {
                self.add(address, folded);
            }
        }
    }

    /// Adds accounts that other workers have folded, without their reverts.
    pub(in crate::evm) fn add_folded(&mut self, folded: FoldedBucket) {
        let FoldedBucket { accounts, contracts, reverts_size, undone_separately, .. } = folded;
        self.bundle.state.reserve(accounts.len());
        accounts.into_iter().for_each(|(address, account)| self.insert(address, account));
        self.undone_separately.extend(undone_separately);
        self.bundle.contracts.extend(contracts);
        self.bundle.reverts_size += reverts_size;
    }

    /// Returns this bundle on top of `parent`.
    pub(super) fn onto(self, parent: BundleState) -> Self {
        let Self { bundle: own, .. } = self;
        let mut joined = Self { bundle: parent, ..self };
        joined.bundle.state.reserve(own.state.len());
        own.state.into_iter().for_each(|(address, account)| joined.insert(address, account));
        joined.bundle.contracts.extend(own.contracts);
        joined.bundle.reverts_size += own.reverts_size;
        joined
    }

    /// Moves the reverts out, except for accounts that other workers have folded.
    pub(in crate::evm) fn take_reverts(&mut self) -> Vec<AccountReverted> {
        self.reverts.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Adds an account if the bundle does not have it yet and its change is a plain one. Returns
    /// whether it was added.
    pub(super) fn add_plain(&mut self, change: &AccountChange) -> bool {
        let Self { bundle, reverts, .. } = self;
        let Entry::Vacant(place) = bundle.state.entry(change.address) else { return false };
        let Some(FoldedAccount { account, revert, .. }) = FoldedAccount::plain(change) else {
            return false;
        };
        bundle.state_size += account.size_hint();
        place.insert(account);
        if let Some(reverts) = reverts {
            bundle.reverts_size += revert.size_hint();
            reverts.push((change.address, revert));
        }
        true
    }

    /// Adds reverts of accounts that were added by [`add_folded`](Self::add_folded).
    pub(in crate::evm) fn add_reverts(&mut self, more: Vec<AccountReverted>) {
        if let Some(reverts) = &mut self.reverts {
            reverts.extend(more);
        }
    }

    /// Moves out the addresses of accounts whose slot reverts are computed separately.
    pub(in crate::evm) fn take_undone_separately(&mut self) -> Vec<Address> {
        core::mem::take(&mut self.undone_separately)
    }

    /// Removes an account; its revert stays.
    pub(super) fn take(&mut self, address: &Address) -> Option<BundleAccount> {
        let account = self.bundle.state.remove(address)?;
        self.bundle.state_size -= account.size_hint();
        Some(account)
    }

    /// Removes the reverts of accounts that are `gone`.
    pub(super) fn remove_reverts(&mut self, gone: impl Fn(&Address) -> bool) {
        let Self { bundle, reverts, .. } = self;
        if let Some(reverts) = reverts {
            reverts.retain(|(address, revert)| {
                let stays = !gone(address);
                if !stays {
                    bundle.reverts_size -= revert.size_hint();
                }
                stays
            });
        }
    }

    pub(super) fn add_codes(&mut self, codes: impl Iterator<Item = (B256, Bytecode)>) {
        self.bundle.contracts.extend(codes);
    }

    /// Number of accounts in the bundle.
    pub(super) fn len(&self) -> usize {
        self.bundle.state.len()
    }

    /// Finishes the bundle, with one entry of reverts for the block.
    pub(in crate::evm) fn finish(self) -> BundleState {
        let Self { mut bundle, reverts, .. } = self;
        bundle.reverts.push(reverts.unwrap_or_default());
        bundle
    }
}

/// Reserves room for all accounts when the first bucket arrives, extrapolated from its `shards` and
/// its number of `accounts`.
pub(in crate::evm) fn expect(assembly: &mut BundleAssembly, shards: u64, accounts: usize) {
    if !assembly.is_empty() {
        return;
    }
    let shards = shards.count_ones() as usize;
    if shards as u64 == BUNDLE_SHARDS {
        return assembly.expect(accounts);
    }
    let all = accounts * BUNDLE_SHARDS as usize / shards.max(1);
    assembly.expect(all + all / MARGIN_ONE_IN);
}
