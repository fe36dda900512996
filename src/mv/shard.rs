//! A shard of the store: chains, and an index of their locations.

use super::chain::Chain;
use super::location::Location;
use super::place::LocationHash;
use hashbrown::HashTable;

#[derive(Debug)]
pub(super) struct Shard<L: Location> {
    pub(super) table: HashTable<u32>,
    pub(super) chains: Vec<Chain<L>>,
}

impl<L: Location> Shard<L> {
    /// Empties the shard and keeps its memory, or half of it if most was unused.
    pub(super) fn emptied(mut self) -> Self {
        let needed = 2 * self.chains.len();
        self.chains.clear();
        self.table.clear();
        if self.chains.capacity() / 4 > needed {
            self.chains.shrink_to(self.chains.capacity() / 2);
            self.table.shrink_to(self.table.capacity() / 2, |_| unreachable!("it is empty"));
        }
        self
    }

    fn index(&self, hash: LocationHash, location: &L) -> Option<u32> {
        let chains = &self.chains;
        let same = |index: &u32| {
            chains.get(*index as usize).is_some_and(|chain| chain.location == *location)
        };
        self.table.find(hash.bits(), same).copied()
    }

    /// Returns the chain of `location`, if it exists.
    pub(super) fn find(&mut self, hash: LocationHash, location: &L) -> Option<&mut Chain<L>> {
        let index = self.index(hash, location)?;
        self.chains.get_mut(index as usize)
    }

    /// Returns the chain of `location`, with its index. Creates the chain if it does not exist.
    pub(super) fn chain(&mut self, hash: LocationHash, location: &L) -> (u32, &mut Chain<L>) {
        let index = match self.index(hash, location) {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.chains.len()).unwrap_or(u32::MAX);
                self.chains.push(Chain::new(location.clone(), hash));
                let chains = &self.chains;
                let rehash = |index: &u32| chains.get(*index as usize).map_or(0, |c| c.hash.bits());
                self.table.insert_unique(hash.bits(), index, rehash);
                index
            }
        };
        let position = index as usize;
        // The index comes from the table or was pushed above, so the slice is never empty.
        let [chain, ..] = self.chains.get_mut(position..).unwrap_or_default() else {
            unreachable!("a chain in the table is in the list")
        };
        (index, chain)
    }
}
