//! Writes of committed transactions that are not in the store yet.

use super::ledger::EvmLedger;
use crate::evm::exec::block_context::BlockContext;
use crate::evm::exec::effects::for_each_write;
use crate::evm::exec::location::EvmLocation;
use crate::evm::exec::tx_output::TxOutput;
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
    /// Transaction id of the journal, which determines the accounts and slots that are warm.
    pub(in crate::evm) transaction: TransactionId,
}

/// Where the pending writes are that are not in `latest` yet.
#[derive(Debug, Default)]
pub(in crate::evm) enum Unmerged {
    #[default]
    Nothing,
    /// In the journal of the EVM that ran the transactions.
    Journal(Journal),
    /// In the ledger: private batches have written the locations in `changed`. Writes and blind
    /// credits of the accounts in `merged` are in `latest` already.
    Batches { changed: ConflictIndex<EvmLocation>, merged: AddressSet },
}

/// Writes of committed transactions that are not in the store yet.
#[derive(Debug, Default)]
pub(in crate::evm) struct PendingWrites {
    /// Pending writes by location.
    pub(in crate::evm) latest: Latest<EvmLocation>,
    /// The pending writes that are not in `latest`.
    pub(in crate::evm) unmerged: Unmerged,
    /// The lowest transaction that may have writes outside `latest`.
    pub(in crate::evm) first_unmerged: usize,
    /// Outputs of transactions whose changes may be only in the journal.
    pub(in crate::evm) journaled: Vec<(TxIndex, Arc<TxOutput>)>,
    /// The first transaction with pending writes; earlier writes are in the store.
    pub(in crate::evm) first: TxIndex,
}

impl PendingWrites {
    /// Creates an empty set of pending writes for a sequential run that starts at `first`.
    pub(in crate::evm) fn from(first: TxIndex) -> Self {
        Self { first_unmerged: first.position(), first, ..Self::default() }
    }

    /// Creates the pending writes of private batches from `first` on, which have written the
    /// locations in `changed`.
    pub(in crate::evm) fn after_batches(
        changed: ConflictIndex<EvmLocation>,
        first: TxIndex,
    ) -> Self {
        let unmerged = Unmerged::Batches { changed, merged: AddressSet::default() };
        Self { unmerged, ..Self::from(first) }
    }

    /// Whether there are pending writes of a transaction below `frontier`.
    pub(in crate::evm) fn has_writes_below(&self, frontier: TxIndex) -> bool {
        self.first != frontier
    }

    /// Whether `latest` has all writes of transactions below `end`.
    pub(in crate::evm) const fn is_complete(&self, end: usize) -> bool {
        self.first_unmerged >= end
    }

    /// Moves all pending writes into `latest`.
    pub(in crate::evm) fn complete(&mut self, ledger: &EvmLedger, block_context: &BlockContext) {
        let unmerged = core::mem::take(&mut self.unmerged);
        let end = ledger.outcomes.len();
        let first = core::mem::replace(&mut self.first_unmerged, end);
        self.journaled.clear();
        merge_changes(&mut self.latest, ledger.outputs_of(first..end), block_context, |_| true);
        if let Unmerged::Batches { merged, .. } = unmerged
            && merged.is_empty()
        {
            merge_credits(&mut self.latest, ledger.outputs_of(first..end), block_context);
        }
    }

    /// Moves pending writes of private batches into `latest`: writes to `requested`, an account that
    /// a system call has read, and to `others`, which it will read. The second call, or a call
    /// without `requested`, moves all pending writes.
    pub(in crate::evm) fn complete_for(
        &mut self,
        requested: Option<Address>,
        others: impl IntoIterator<Item = Address>,
        ledger: &EvmLedger,
        block_context: &BlockContext,
    ) {
        match (requested, &mut self.unmerged) {
            // The first call: no write of a batch is in `latest` yet.
            (Some(requested), Unmerged::Batches { merged, .. }) if merged.is_empty() => {
                merged.insert(requested);
                merged.extend(others);
                let is_lost = mutant!(PendingUntaken);
                let counts = |address: &Address| merged.contains(address) && !is_lost;
                let range = self.first_unmerged..ledger.outcomes.len();
                merge_changes(
                    &mut self.latest,
                    ledger.outputs_of(range.clone()),
                    block_context,
                    counts,
                );
                merge_credits(&mut self.latest, ledger.outputs_of(range), block_context);
            }
            _ => self.complete(ledger, block_context),
        }
    }

    /// At the start of a block, caches the accounts that receive blind credits, so that each credit
    /// is added to the balance at once.
    pub(in crate::evm) fn cache_receivers(
        &mut self,
        block_context: &BlockContext,
        store: &Store<EvmLocation>,
    ) {
        let is_start = self.is_block_start();
        for receiver in block_context.receivers().filter(|_| is_start) {
            let location = EvmLocation::Account(receiver);
            if let Some(value) = store.base(&location) {
                self.latest.keep_base(location, value);
            }
        }
    }

    /// Whether the pending writes are the first of the block, so that the store has none.
    pub(in crate::evm) const fn is_block_start(&self) -> bool {
        self.first.0 == 0
    }

    /// Calls `each` with every entry that is not in `store` yet, one per location.
    pub(in crate::evm) fn into_entries(
        mut self,
        block_context: &BlockContext,
        store: &Store<EvmLocation>,
        mut each: impl FnMut(Version, EvmLocation, Entry<EvmLocation>),
    ) {
        let first = self.first;
        let journaled = self.journaled.iter().map(|(tx, output)| (*tx, output));
        merge_changes(&mut self.latest, journaled, block_context, |_| true);
        let unsummed = mutant!(HandBackUnsummed);
        for receiver in block_context.receivers().filter(|_| !unsummed) {
            let location = EvmLocation::Account(receiver);
            let base = || -> Result<_, Infallible> { unreachable!("the receiver was seeded") };
            let Ok(_) = self.latest.read(&location, || store.newest(&location, first, base));
        }
        let lost = mutant!(HandBackLost);
        for (tx, location, entry) in self.latest.into_entries().filter(|_| !lost) {
            each(Version { tx, incarnation: Incarnation(0) }, location, entry);
        }
    }
}

/// Copies the changes of `outputs`, which are in block order, to `latest`, for the accounts that
/// `counts` accepts.
pub(in crate::evm) fn merge_changes<'a>(
    latest: &mut Latest<EvmLocation>,
    outputs: impl Iterator<Item = (TxIndex, &'a Arc<TxOutput>)>,
    block_context: &BlockContext,
    counts: impl Fn(&Address) -> bool,
) {
    if mutant!(JournalLost) {
        return;
    }
    for (tx, output) in outputs {
        for change in output.changes.iter().filter(|change| counts(&change.address)) {
            let change = core::slice::from_ref(change);
            for_each_write(change, block_context, |location, entry| {
                latest.put(tx, location, entry)
            });
        }
    }
}

/// Copies the blind credits of `outputs` to `latest`.
pub(in crate::evm) fn merge_credits<'a>(
    latest: &mut Latest<EvmLocation>,
    outputs: impl Iterator<Item = (TxIndex, &'a Arc<TxOutput>)>,
    block_context: &BlockContext,
) {
    let lost = mutant!(PartCreditsLost);
    for (tx, output) in outputs.filter(|_| !lost) {
        for (to, reward) in block_context.rewards(output) {
            latest.put(tx, EvmLocation::Account(to), Entry::Delta(reward));
        }
    }
}
