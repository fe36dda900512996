//! What private batches have left, as entries of the store.

use super::machine::{LedgerOf, Workload};
use crate::ids::{Chunk, Incarnation, TxIndex, Version};
use crate::mv::Entry;

/// Each entry that transactions of `txs` have left which were committed by group.
pub(super) fn for_each_entry<W: Workload, G: LedgerOf<W>>(
    workload: &W,
    ledger: &G,
    txs: Chunk,
    mut each: impl FnMut(Version, W::Location, Entry<W::Location>),
) {
    let incarnation = Incarnation(0);
    for (tx, left) in ledger.left(txs) {
        let mut deltas = Vec::new();
        workload.entries(left, |location, entry| match entry {
            Entry::Delta(delta) => deltas.push((location, delta)),
            entry => each(Version { tx, incarnation }, location, entry),
        });
        // What several transactions of a group credit to one location is told with the last of
        // them: each gets a version.
        for (place, (location, delta)) in deltas.iter().enumerate() {
            let later = deltas.iter().skip(place + 1).filter(|(at, _)| at == location).count();
            let back = u32::try_from(later).unwrap_or(u32::MAX);
            let version = Version { tx: TxIndex(tx.0.saturating_sub(back)), incarnation };
            each(version, location.clone(), Entry::Delta(delta.clone()));
        }
    }
}
