//! The writes of private batches, as entries of the store.

use super::machine::{LedgerOf, Workload};
use crate::ids::{Chunk, Incarnation, TxIndex, Version};
use crate::mv::{Entry, Location};
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
        let versions = versions(tx, &deltas);
        for ((location, delta), version) in deltas.iter().zip(versions) {
            each(version, location.clone(), Entry::Delta(delta.clone()));
        }
    }
}

/// Returns the versions of `deltas`, which the record of `last` holds, in order.
///
/// The ledger stores the credits of a whole group with its last transaction. Each credit to the same
/// location needs its own version, and has one within the group, as no transaction of the group
/// credits a location twice.
fn versions<L: Location>(last: TxIndex, deltas: &[(L, L::Delta)]) -> Vec<Version> {
    let mut later: HashMap<&L, u32, RandomState> = HashMap::default();
    let mut versions = Vec::with_capacity(deltas.len());
    for (location, _) in deltas.iter().rev() {
        let later = later.entry(location).or_default();
        let tx = TxIndex(last.0.saturating_sub(*later));
        versions.push(Version { tx, incarnation: Incarnation(0) });
        *later += 1;
    }
    versions.reverse();
    versions
}

#[cfg(all(test, not(braid_loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Account(u32);

    impl Location for Account {
        type Value = u32;
        type Delta = u32;

        fn scope(&self) -> Option<Self> {
            None
        }

        fn is_scope(&self) -> bool {
            false
        }

        fn destroyed(&self) -> u32 {
            0
        }

        fn fold(value: &mut u32, delta: &u32) {
            *value += delta;
        }
    }

    /// A group of a thousand transactions: each one credits account 0, every second one account 1,
    /// and so on.
    #[test]
    fn credits_to_one_location_have_ascending_versions_of_the_group() {
        let group = 5_000..6_000;
        let pays = |tx: u32| (0..8).filter(move |account| tx.is_multiple_of(account + 1));
        let credits = group.clone().flat_map(pays).map(|account| (Account(account), 1));
        let credits: Vec<_> = credits.collect();
        let versions = versions(TxIndex(group.end - 1), &credits);
        assert_eq!(versions.len(), credits.len());
        let mut of_each = BTreeMap::<Account, Vec<u32>>::new();
        for ((account, _), version) in credits.iter().zip(versions) {
            assert_eq!(version.incarnation, Incarnation(0));
            of_each.entry(*account).or_default().push(version.tx.0);
        }
        assert_eq!(of_each[&Account(0)], group.clone().collect::<Vec<_>>());
        for (account, txs) in of_each {
            assert!(txs.is_sorted_by(|one, next| one < next), "{account:?}: {txs:?}");
            assert!(txs.iter().all(|tx| group.contains(tx)), "{account:?}: {txs:?}");
            assert_eq!(txs.last(), Some(&(group.end - 1)), "{account:?}");
        }
    }
}
