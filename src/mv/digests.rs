//! What many transactions together have read or written, by hash.

use super::location::Location;
use core::hash::BuildHasher;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Locations by their hashes, in any order, some more than once. Two with the same hash count as one: taking
/// one for another may only cost speed.
#[derive(Clone, Debug, Default)]
pub struct Digests {
    hasher: RandomState,
    hashes: Vec<u64>,
}

impl Digests {
    /// None, to be compared with those that come of the same [`Footprint`].
    const fn new(hasher: RandomState) -> Self {
        Self { hasher, hashes: Vec::new() }
    }

    /// Makes room for about as many as `others`.
    pub fn reserve_like(&mut self, others: &Self) {
        self.hashes.reserve(others.hashes.len());
    }

    /// Adds `location`.
    pub fn add<L: Location>(&mut self, location: &L) {
        self.hashes.push(self.hasher.hash_one(location));
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// All of them; none is left.
    #[must_use]
    pub fn take(&mut self) -> Self {
        // The next part's are about as many.
        let next = Vec::with_capacity(self.hashes.len());
        Self { hasher: self.hasher.clone(), hashes: core::mem::replace(&mut self.hashes, next) }
    }
}

/// All that transactions up to some point have written.
#[derive(Debug, Default)]
pub struct Footprint {
    hasher: RandomState,
    hashes: HashTable<u64>,
}

impl Footprint {
    /// No locations, to be compared with this footprint or added to it.
    #[must_use]
    pub fn digests(&self) -> Digests {
        Digests::new(self.hasher.clone())
    }

    /// Whether any of `reads` is in it.
    #[must_use]
    pub fn meets(&self, reads: &Digests) -> bool {
        let is_in = |hash: &u64| self.hashes.find(*hash, |other| other == hash).is_some();
        !self.hashes.is_empty() && reads.hashes.iter().any(is_in)
    }

    /// Whether `location` is in it, or one with the same hash.
    #[must_use]
    pub fn has<L: Location>(&self, location: &L) -> bool {
        let hash = self.hasher.hash_one(location);
        self.hashes.find(hash, |other| *other == hash).is_some()
    }

    /// Adds what was written.
    pub fn extend(&mut self, writes: &Digests) {
        self.hashes.reserve(writes.hashes.len(), |hash| *hash);
        for hash in &writes.hashes {
            self.hashes.entry(*hash, |other| other == hash, |hash| *hash).or_insert(*hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Slot(u32);

    impl Location for Slot {
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

    fn of(footprint: &Footprint, slots: impl IntoIterator<Item = u32>) -> Digests {
        let mut digests = footprint.digests();
        slots.into_iter().for_each(|slot| digests.add(&Slot(slot)));
        digests
    }

    #[test]
    fn a_read_meets_what_was_written_and_nothing_else() {
        let mut footprint = Footprint::default();
        assert!(!footprint.meets(&of(&footprint, 0..9)));
        footprint.extend(&of(&footprint, 10..2_000));
        footprint.extend(&of(&footprint, [5, 5, 1_999]));
        assert!(!footprint.meets(&of(&footprint, (0..10).filter(|slot| *slot != 5))));
        assert!((0..10).all(|slot| footprint.has(&Slot(slot)) == (slot == 5)));
        for slot in [5, 10, 700, 1_999] {
            assert!(footprint.has(&Slot(slot)), "{slot}");
            assert!(footprint.meets(&of(&footprint, [2_000, slot])), "{slot}");
        }
    }

    #[test]
    fn what_was_taken_is_not_there_any_more() {
        let mut footprint = Footprint::default();
        let mut reads = of(&footprint, [1, 2]);
        let taken = reads.take();
        reads.add(&Slot(3));
        footprint.extend(&of(&footprint, [2]));
        assert!(footprint.meets(&taken) && !footprint.meets(&reads));
    }
}
