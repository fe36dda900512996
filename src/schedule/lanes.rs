//! Distributes transactions among lanes, so that no predicted dependency connects two lanes.

use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Number of fifths of the weight that count as most of it. By judgement.
const MOST_OF_FIVE: u64 = 4;

/// Predicted dependencies of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    /// Expected run time, in any unit.
    pub weight: u64,
    /// Transactions that share a key are predicted to depend on each other.
    pub keys: [Option<u64>; 4],
}

/// Transactions in lanes, by their positions in the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    /// Heaviest lane first; each lane is in block order.
    pub lanes: Vec<Vec<usize>>,
    /// Weight of the heaviest group of transactions connected by predicted dependencies.
    pub heaviest: u64,
    /// Total weight of all transactions.
    pub total: u64,
}

impl Lanes {
    /// Returns whether most of the weight is one group of dependent transactions, for which other
    /// workers would wait.
    #[must_use]
    pub fn is_chain(&self) -> bool {
        self.lanes.len() < 2 || self.heaviest > self.total / 5 * MOST_OF_FIVE
    }

    /// Returns the number of workers that have work while one of them runs the heaviest group, plus
    /// one, as work never divides evenly. Further workers would only wait.
    #[must_use]
    pub fn workers(&self) -> usize {
        let full = self.total.div_ceil(self.heaviest.max(1));
        usize::try_from(full).map_or(usize::MAX, |full| full.saturating_add(1))
    }
}

/// Disjoint sets of positions (union-find).
#[derive(Clone, Debug)]
pub struct Joined {
    parents: Vec<usize>,
}

impl Joined {
    /// Creates `places` positions, each in its own set.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self { parents: (0..places).collect() }
    }

    /// Adds a position in its own set.
    pub fn add(&mut self) -> usize {
        let place = self.parents.len();
        self.parents.push(place);
        place
    }

    /// Removes all positions, and keeps the memory.
    pub fn clear(&mut self) {
        self.parents.clear();
    }

    /// Returns the representative of the set of `place`.
    pub fn root(&mut self, mut place: usize) -> usize {
        let parents = &mut self.parents;
        while let Some(&parent) = parents.get(place).filter(|parent| **parent != place) {
            let above = parents.get(parent).copied().unwrap_or(parent);
            if let Some(own) = parents.get_mut(place) {
                // Path halving works as well as full compression.
                *own = above;
            }
            place = above;
        }
        place
    }

    /// Merges the sets of two positions.
    pub fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        if let Some(parent) = self.parents.get_mut(one) {
            *parent = other;
        }
    }
}

/// Distributes transactions among `most` lanes of about equal weight. Transactions connected by
/// predicted dependencies, directly or through others, share a lane. The worker of one lane has
/// other work of weight `begun` to do first, so that lane is lighter by that much.
#[must_use]
pub fn lanes(ties: &[Ties], most: usize, begun: u64) -> Lanes {
    let mut joined = Joined::new(ties.len());
    let hasher = RandomState::default();
    let mut owners = HashMap::with_capacity_and_hasher(2 * ties.len(), hasher.clone());
    for (place, tie) in ties.iter().enumerate() {
        for key in tie.keys.iter().flatten() {
            let owner = *owners.entry(*key).or_insert(place);
            joined.join(owner, place);
        }
    }
    let mut groups: HashMap<usize, (u64, Vec<usize>), _> = HashMap::with_hasher(hasher);
    for (place, tie) in ties.iter().enumerate() {
        let (weight, members) = groups.entry(joined.root(place)).or_default();
        *weight = weight.saturating_add(tie.weight);
        members.push(place);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    // Ties are broken by position, so the same block is distributed the same way each time.
    groups.sort_unstable_by_key(|(weight, members)| {
        (core::cmp::Reverse(*weight), members.first().copied())
    });
    let heaviest = groups.first().map_or(0, |(weight, _)| *weight);
    let total = groups.iter().fold(0, |total: u64, (weight, _)| total.saturating_add(*weight));
    let mut lanes = vec![(0, Vec::new()); most.max(1)];
    set_load(&mut lanes, |load| load.saturating_add(begun));
    for (weight, mut members) in groups {
        // Heaviest first, each to the lightest lane: never much worse than the optimum.
        if let Some((load, lane)) = lanes.iter_mut().min_by_key(|(load, _)| *load) {
            *load = weight.saturating_add(*load);
            lane.append(&mut members);
        }
    }
    set_load(&mut lanes, |load| load.saturating_sub(begun));
    lanes.retain(|(_, lane)| !lane.is_empty());
    lanes.sort_by_key(|(load, _)| core::cmp::Reverse(*load));
    let in_order = |(_, mut lane): (u64, Vec<usize>)| {
        lane.sort_unstable();
        lane
    };
    Lanes { lanes: lanes.into_iter().map(in_order).collect(), heaviest, total }
}

/// Changes the load of the first of the `lanes`.
fn set_load(lanes: &mut [(u64, Vec<usize>)], to: impl FnOnce(u64) -> u64) {
    if let Some((load, _)) = lanes.first_mut() {
        *load = to(*load);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tie(weight: u64, keys: &[u64]) -> Ties {
        let mut all = [None; 4];
        all.iter_mut().zip(keys).for_each(|(slot, key)| *slot = Some(*key));
        Ties { weight, keys: all }
    }

    #[test]
    fn who_shares_a_key_is_in_one_lane_and_in_order() {
        // Transactions 0, 2 and 5 are connected through 2; 1 and 4 share a key; 3 is alone.
        let ties = [
            tie(5, &[1]),
            tie(3, &[7]),
            tie(5, &[1, 2]),
            tie(4, &[]),
            tie(3, &[9, 7]),
            tie(5, &[2, 3]),
        ];
        let shared = lanes(&ties, 2, 0);
        assert_eq!(shared.lanes, [vec![0, 2, 5], vec![1, 3, 4]]);
        assert_eq!((shared.heaviest, shared.total), (15, 25));
        assert_eq!(lanes(&ties, 9, 0).lanes.len(), 3);
        assert_eq!(lanes(&ties, 1, 0).lanes, [vec![0, 1, 2, 3, 4, 5]]);
        assert_eq!(lanes(&[], 2, 0), Lanes::default());
    }

    #[test]
    fn lanes_are_about_as_heavy_as_each_other() {
        let ties: Vec<_> = (0..400).map(|place| tie(1 + place % 17, &[1_000 + place])).collect();
        let shared = lanes(&ties, 4, 0);
        let load =
            |lane: &Vec<usize>| -> u64 { lane.iter().map(|place| ties[*place].weight).sum() };
        let loads: Vec<_> = shared.lanes.iter().map(load).collect();
        assert_eq!(loads.iter().sum::<u64>(), shared.total);
        assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 17, "{loads:?}");
        assert_eq!(shared, lanes(&ties, 4, 0));
        // The worker of the lightest lane, which comes last, has a quarter of the total to do
        // first.
        let begun = shared.total / 4;
        let shared = lanes(&ties, 4, begun);
        let loads: Vec<_> = shared.lanes.iter().map(load).collect();
        let lightest = loads.last().unwrap() + begun;
        assert!(loads[..3].iter().all(|load| load.abs_diff(lightest) <= 17), "{loads:?}");
        // That work may exceed everything else.
        assert_eq!(lanes(&ties, 4, u64::MAX).lanes.len(), 3);
    }

    #[test]
    fn no_more_workers_than_the_heaviest_leaves_work_for() {
        let workers = |heaviest, total| Lanes { heaviest, total, ..Lanes::default() }.workers();
        let all = [(10, 10), (10, 11), (10, 20), (10, 21), (1, 100), (0, 0)];
        assert_eq!(all.map(|(heaviest, total)| workers(heaviest, total)), [2, 3, 3, 4, 101, 1]);
    }
}
