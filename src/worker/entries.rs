//! The writes of private batches, as entries of the store.

use super::machine::{LedgerOf, Workload};
use crate::ids::{Chunk, Incarnation, TxIndex, Version};
use crate::mv::Entry;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Calls `each` with every entry of the transactions in `txs` that were committed in groups.
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
        // The ledger stores the credits of a whole group with its last transaction. Each credit to
        // the same location needs its own version.
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
