//! Placement of accounts on shards.

use crate::order::ShardId;
use std::collections::BTreeMap;

/// A placement of accounts.
#[derive(Clone, Debug)]
pub struct Placement<A> {
    shards: u16,
    learned: BTreeMap<A, ShardId>,
    hash: fn(&A) -> u64,
}

/// Percentage by which the load of a shard may exceed an even load.
const SLACK: u64 = 20;

impl<A: Clone + Ord> Placement<A> {
    /// Places every account by its hash.
    #[must_use]
    pub fn by_hash(shards: u16, hash: fn(&A) -> u64) -> Self {
        Self { shards: shards.max(1), learned: BTreeMap::new(), hash }
    }

    /// Places accounts that are used together on the same shard, as far as the load allows. The
    /// most frequent account is placed first; each one goes to the shard with the most common
    /// transactions among those with room. An account that does not occur is placed by its hash.
    /// `groups` has the accounts of each transaction.
    #[must_use]
    pub fn learned<'a>(
        shards: u16,
        hash: fn(&A) -> u64,
        groups: impl IntoIterator<Item = &'a [A]>,
    ) -> Self
    where
        A: 'a,
    {
        let mut placement = Self::by_hash(shards, hash);
        let (mut meets, mut weights) = (BTreeMap::<A, BTreeMap<A, u64>>::new(), BTreeMap::new());
        for group in groups {
            for account in group {
                *weights.entry(account.clone()).or_insert(0_u64) += 1;
                let met = meets.entry(account.clone()).or_default();
                for other in group.iter().filter(|other| *other != account) {
                    *met.entry(other.clone()).or_default() += 1;
                }
            }
        }
        let mut order: Vec<(A, u64)> = weights.into_iter().collect();
        order.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let total: u64 = order.iter().map(|(_, weight)| weight).sum();
        let room = (total * (100 + SLACK) / 100).div_ceil(u64::from(placement.shards));
        let mut loads = vec![0_u64; usize::from(placement.shards)];
        for (account, weight) in order {
            let mut met = vec![0_u64; loads.len()];
            for (other, times) in meets.get(&account).into_iter().flatten() {
                if let Some(home) = placement.learned.get(other) {
                    met[home.position()] += times;
                }
            }
            // An account that fits nowhere goes to the shard with the lowest load.
            let fits = |shard: &u16| loads[usize::from(*shard)] + weight <= room;
            let least = |shard: u16| (loads[usize::from(shard)], shard);
            let best = (0..placement.shards)
                .filter(fits)
                .min_by_key(|shard| (u64::MAX - met[usize::from(*shard)], least(*shard)));
            let home = best.or_else(|| (0..placement.shards).min_by_key(|shard| least(*shard)));
            let home = ShardId(home.unwrap_or(0));
            loads[home.position()] += weight;
            placement.learned.insert(account, home);
        }
        placement
    }

    /// Returns the shard of `account`.
    #[must_use]
    pub fn home(&self, account: &A) -> ShardId {
        let by_hash = || {
            let shard = (self.hash)(account) % u64::from(self.shards);
            ShardId(u16::try_from(shard).unwrap_or(0))
        };
        self.learned.get(account).copied().unwrap_or_else(by_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::Placement;

    const fn hash(account: &u64) -> u64 {
        *account
    }

    #[test]
    fn accounts_that_meet_lie_together() {
        let groups = [[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [6, 7]];
        let placement = Placement::learned(2, hash, groups.iter().map(<[u64; 2]>::as_slice));
        for [one, other] in groups {
            assert_eq!(placement.home(&one), placement.home(&other), "{one}, {other}");
        }
        // Both shards are used, and unseen accounts are placed by their hash.
        assert_ne!(placement.home(&0), placement.home(&2));
        assert_eq!((placement.home(&100).0, placement.home(&101).0), (0, 1));
    }

    #[test]
    fn one_shard_does_not_get_all() {
        // One account is used together with each other one.
        let groups: Vec<[u64; 2]> = (1..=60).map(|other| [0, other]).collect();
        let placement = Placement::learned(4, hash, groups.iter().map(<[u64; 2]>::as_slice));
        let at = |shard: u16| (0..=60).filter(|it| placement.home(it).0 == shard).count();
        assert!((0..4).all(|shard| at(shard) > 0), "{:?}", (0..4).map(at).collect::<Vec<_>>());
    }
}
