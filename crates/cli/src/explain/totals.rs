//! Locations at which transactions wait, over many blocks.

use super::{
    bounds::Axis,
    conflicts::together,
    decode::{Kind, Meaning, decode},
    explanation::Explanation,
    location::Location,
    record::Recording,
};
use alloy_primitives::Address;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// A transaction on a conflict chain: index of the block, index of the transaction.
type Waiting = (usize, usize);

/// Totals over blocks.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Number of blocks.
    pub blocks: usize,
    /// Number of transactions.
    pub transactions: usize,
    /// Cost of all transactions.
    pub work: u64,
    /// Sum of the cost of the most expensive transaction of each block.
    pub longest: u64,
    /// Sum of the cost of the conflict chain of each block.
    pub chain: u64,
    /// Sum of the cost of the late-read chain of each block.
    pub late_read: u64,
    locations: HashMap<Location, Waited>,
}

#[derive(Clone, Debug)]
struct Waited {
    waiting: BTreeSet<Waiting>,
    chain_cost: u64,
    meaning: Meaning,
}

/// Locations of one account at which the same transactions of conflict chains wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costly {
    /// The locations, in order.
    pub locations: Vec<Location>,
    /// Kind of the locations; the most specific one of several.
    pub kind: Kind,
    /// Description of the locations.
    pub words: String,
    /// Cost of the transactions on conflict chains that wait here.
    pub chain_cost: u64,
    /// Number of these transactions.
    pub waits: usize,
    /// Number of blocks.
    pub blocks: usize,
}

impl Totals {
    /// Adds a block, with costs on the axis by which its conflicts are ordered.
    pub fn add(&mut self, recording: &Recording, explanation: &Explanation, axis: Axis) {
        let (_, costs) = explanation.ordered_by(axis);
        let block = self.blocks;
        self.blocks += 1;
        self.transactions += explanation.transactions;
        self.work += costs.bounds.work;
        self.longest += costs.bounds.longest;
        self.chain += costs.bounds.chain;
        self.late_read += costs.bounds.late_read;
        for (step, cost) in costs.conflict_chain.iter().zip(&costs.path_costs) {
            for location in &step.waited_for {
                let waited = self.locations.entry(*location).or_insert_with(|| Waited {
                    waiting: BTreeSet::new(),
                    chain_cost: 0,
                    meaning: decode(recording, location),
                });
                if waited.waiting.insert((block, step.transaction)) {
                    waited.chain_cost += cost;
                }
            }
        }
    }

    /// Returns the `top` most expensive locations, and the number of the others.
    #[must_use]
    pub fn costly(&self, top: usize) -> (Vec<Costly>, usize) {
        let mut groups: BTreeMap<(Address, &BTreeSet<Waiting>), Vec<Location>> = BTreeMap::new();
        for (location, waited) in &self.locations {
            groups.entry((location.account(), &waited.waiting)).or_default().push(*location);
        }
        let mut all: Vec<Costly> = groups
            .into_iter()
            .map(|((account, waiting), mut locations)| {
                locations.sort_unstable();
                let waited = locations.iter().filter_map(|it| self.locations.get(it));
                let meanings = waited.clone().map(|it| it.meaning.clone()).collect();
                let Meaning { kind, words } = together(account, &locations, meanings);
                let chain_cost = waited.map(|it| it.chain_cost).max().unwrap_or_default();
                let blocks: BTreeSet<usize> = waiting.iter().map(|(block, _)| *block).collect();
                let (waits, blocks) = (waiting.len(), blocks.len());
                Costly { locations, kind, words, chain_cost, waits, blocks }
            })
            .collect();
        all.sort_by_key(|it| (Reverse(it.chain_cost), it.locations.first().copied()));
        let others = all.len().saturating_sub(top);
        all.truncate(top);
        (all, others)
    }
}
