//! What private batches have left, as entries of the store.

use super::machine::{LedgerOf, Workload};
use crate::ids::{Chunk, Incarnation, TxIndex, Version};
use crate::mv::Entry;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

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
        let mut later: HashMap<&W::Location, u32, RandomState> = HashMap::default();
        let mut versions = Vec::with_capacity(deltas.len());
        for (location, _) in deltas.iter().rev() {
            let later = later.entry(location).or_default();
            versions.push(Version { tx: TxIndex(tx.0.saturating_sub(*later)), incarnation });
            *later += 1;
        }
        for ((location, delta), version) in deltas.iter().zip(versions.into_iter().rev()) {
            each(version, location.clone(), Entry::Delta(delta.clone()));
        }
    }
}
