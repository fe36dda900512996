//! What transactions that ran in order have left for the run that goes on from them, while it is in
//! no store.

use super::ledger::EvmLedger;
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::effects::for_each_write;
use crate::evm::exec::location::EvmLocation;
use crate::evm::exec::tx_output::TxOutput;
use crate::evm::mutants::is_evm_mutant;
use crate::ids::{Incarnation, TxIndex, Version};
use crate::mv::{ConflictIndex, Entry, Latest, Store};
use alloy_primitives::{Address, map::AddressSet};
use core::convert::Infallible;
use revm::state::{EvmState, TransactionId};
use std::sync::Arc;

/// A journal between two transactions.
#[derive(Debug, Default)]
pub(in crate::evm) struct Journal {
    pub(in crate::evm) state: EvmState,
    /// What of it counts as warm depends on it.
    pub(in crate::evm) transaction: TransactionId,
}

/// Where transactions have left what is not in `latest` yet.
#[derive(Debug, Default)]
pub(in crate::evm) enum Pending {
    #[default]
    Nothing,
    /// In the journal of the EVM that has run them.
    Journal(Journal),
    /// Private batches have changed these locations: only the ledger has the values, and what is
    /// credited, but for those of accounts that are `known`.
    Batches { changed: ConflictIndex<EvmLocation>, known: AddressSet },
}

/// The state that transactions have left which is in no store.
#[derive(Debug, Default)]
pub(in crate::evm) struct Carry {
    /// All that has left the journal.
    pub(in crate::evm) latest: Latest<EvmLocation>,
    /// What has not.
    pub(in crate::evm) pending: Pending,
    /// The lowest transaction that may have something pending.
    pub(in crate::evm) first_pending: usize,
    /// What those have left whose changes may be in the journal alone.
    pub(in crate::evm) left: Vec<(TxIndex, Arc<TxOutput>)>,
    /// The first of them: what others have left before is in the store.
    pub(in crate::evm) first: TxIndex,
}

impl Carry {
    /// Nothing yet: those from `first` on are to run in order.
    pub(in crate::evm) fn from(first: TxIndex) -> Self {
        Self { first_pending: first.position(), first, ..Self::default() }
    }

    /// What private batches have left from `first` on, which is not in the store; they have written
    /// what is in `changed`.
    pub(in crate::evm) fn after_batches(
        changed: ConflictIndex<EvmLocation>,
        first: TxIndex,
    ) -> Self {
        let pending = Pending::Batches { changed, known: AddressSet::default() };
        Self { pending, ..Self::from(first) }
    }

    /// Whether it holds what a transaction below `frontier`, the lowest one that is left, has done.
    pub(in crate::evm) fn has_run(&self, frontier: TxIndex) -> bool {
        self.first != frontier
    }

    /// Whether nothing is pending of what transactions below `end` have changed.
    pub(in crate::evm) const fn is_complete(&self, end: usize) -> bool {
        self.first_pending >= end
    }

    /// Takes over what is pending.
    pub(in crate::evm) fn complete(&mut self, ledger: &EvmLedger, block_context: &BlockContext) {
        let pending = core::mem::take(&mut self.pending);
        let end = ledger.outcomes.len();
        let first = core::mem::replace(&mut self.first_pending, end);
        self.left.clear();
        take_over(&mut self.latest, ledger.left_of(first..end), block_context, |_| true);
        if let Pending::Batches { known, .. } = pending
            && known.is_empty()
        {
            take_over_credits(&mut self.latest, ledger.left_of(first..end), block_context);
        }
    }

    /// Takes over what private batches have changed of `asked`, which a system call needs, and of
    /// `others`, which it will need. The second time, or if what it needs is not known, all that is
    /// pending is taken over.
    pub(in crate::evm) fn complete_for(
        &mut self,
        (asked, others): (Option<Address>, impl IntoIterator<Item = Address>),
        ledger: &EvmLedger,
        block_context: &BlockContext,
    ) {
        match (asked, &mut self.pending) {
            // The first time: nothing has been taken over yet.
            (Some(asked), Pending::Batches { known, .. }) if known.is_empty() => {
                known.insert(asked);
                known.extend(others);
                let is_lost = is_evm_mutant!(block_context.mutant, PendingUntaken);
                let counts = |address: &Address| known.contains(address) && !is_lost;
                let range = self.first_pending..ledger.outcomes.len();
                take_over(&mut self.latest, ledger.left_of(range.clone()), block_context, counts);
                take_over_credits(&mut self.latest, ledger.left_of(range), block_context);
            }
            _ => self.complete(ledger, block_context),
        }
    }

    /// Remembers, if the block begins with it, what is credited later: each credit is added at once
    /// then.
    pub(in crate::evm) fn keep_receivers(
        &mut self,
        block_context: &BlockContext,
        store: &Store<EvmLocation>,
    ) {
        let is_bottom = self.is_bottom();
        for receiver in block_context.receivers().filter(|_| is_bottom) {
            let location = EvmLocation::Account(receiver);
            if let Some(value) = store.base(&location) {
                self.latest.keep_base(location, value);
            }
        }
    }

    /// Whether nothing of this block lies under it.
    pub(in crate::evm) const fn is_bottom(&self) -> bool {
        self.first.0 == 0
    }

    /// Each entry that is not in `store` yet, one for each location.
    pub(in crate::evm) fn into_entries(
        mut self,
        block_context: &BlockContext,
        store: &Store<EvmLocation>,
        mut each: impl FnMut(Version, EvmLocation, Entry<EvmLocation>),
    ) {
        let first = self.first;
        let left = self.left.iter().map(|(tx, left)| (*tx, left));
        take_over(&mut self.latest, left, block_context, |_| true);
        let unsummed = is_evm_mutant!(block_context.mutant, HandBackUnsummed);
        for receiver in block_context.receivers().filter(|_| !unsummed) {
            let location = EvmLocation::Account(receiver);
            let base = || -> Result<_, Infallible> { unreachable!("it was seeded") };
            let Ok(_) = self.latest.read(&location, || store.newest(&location, first, base));
        }
        let lost = is_evm_mutant!(block_context.mutant, HandBackLost);
        for (tx, location, entry) in self.latest.into_entries().filter(|_| !lost) {
            each(Version { tx, incarnation: Incarnation(0) }, location, entry);
        }
    }
}

/// Takes over into `latest` what transactions have `left`, in order, of the accounts that `counts`
/// says yes to.
pub(in crate::evm) fn take_over<'a>(
    latest: &mut Latest<EvmLocation>,
    left: impl Iterator<Item = (TxIndex, &'a Arc<TxOutput>)>,
    block_context: &BlockContext,
    counts: impl Fn(&Address) -> bool,
) {
    if is_evm_mutant!(block_context.mutant, JournalLost) {
        return;
    }
    for (tx, output) in left {
        for change in output.changes.iter().filter(|change| counts(&change.address)) {
            let change = core::slice::from_ref(change);
            for_each_write(change, block_context, |location, entry| {
                latest.put(tx, location, entry)
            });
        }
    }
}

/// Takes over into `latest` what transactions that have `left` something have credited.
pub(in crate::evm) fn take_over_credits<'a>(
    latest: &mut Latest<EvmLocation>,
    left: impl Iterator<Item = (TxIndex, &'a Arc<TxOutput>)>,
    block_context: &BlockContext,
) {
    let lost = is_evm_mutant!(block_context.mutant, PartCreditsLost);
    for (tx, output) in left.filter(|_| !lost) {
        for (to, reward) in block_context.rewards(output) {
            latest.put(tx, EvmLocation::Account(to), Entry::Delta(reward));
        }
    }
}
