//! The explanation of one block.

use super::{
    bounds::{Axis, Bounds, Graph, Step},
    conflicts::{Conflicts, conflicts},
    location::{Location, Target},
    record::Recording,
    what_if::WhatIf,
};

/// Numbers of workers for which bounds are given.
pub const WORKERS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Parameters of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// A change to compare with the block as it is.
    pub what_if: WhatIf,
    /// Number of workers for which gains are given, 1 to 64.
    pub workers: usize,
    /// Further numbers of workers for which bounds are given.
    pub also: Vec<usize>,
    /// Costs by which conflicts are ordered.
    pub axis: Axis,
    /// Number of locations to list.
    pub top: usize,
}

/// What limits a block.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Number of transactions.
    pub transactions: usize,
    /// Costs in gas.
    pub gas: Costs,
    /// Costs in nanoseconds; `None` if nothing was timed.
    pub time: Option<Costs>,
    /// Locations at which transactions wait, on the requested axis or, if nothing was timed, in
    /// gas.
    pub conflicts: Conflicts,
    /// The block after the change in question.
    pub changed: Option<Changed>,
    /// Transactions that read the beneficiary's balance, and thus the fees of all transactions
    /// before. The bounds do not make them wait for those.
    pub reads_fees: Vec<usize>,
}

/// Bounds of a block, with the conflict chain.
#[derive(Clone, Debug)]
pub struct Costs {
    /// The bounds.
    pub bounds: Bounds,
    /// The longest chain of dependent transactions.
    pub conflict_chain: Vec<Step>,
    /// Cost of each transaction on it.
    pub path_costs: Vec<u64>,
}

/// A block after a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The change.
    pub what_if: WhatIf,
    /// Parts of the change that no transaction accesses.
    pub untouched: Vec<Target>,
    /// Costs in gas.
    pub gas: Costs,
    /// Costs in nanoseconds; `None` if nothing was timed.
    pub time: Option<Costs>,
}

impl Costs {
    /// Returns whether a transaction of the conflict chain waits only for ether. Braid records a
    /// payment as a blind credit if the balance is not read, so the chain is no bound for it.
    #[must_use]
    pub fn has_credits(&self) -> bool {
        let is_balance = |location: &Location| matches!(location, Location::Balance(_));
        let waits = self.conflict_chain.iter().map(|step| &step.waited_for);
        waits.filter(|it| !it.is_empty()).any(|it| it.iter().all(is_balance))
    }
}

impl Explanation {
    /// Returns the costs on `axis`, or in gas if nothing was timed.
    #[must_use]
    pub fn ordered_by(&self, axis: Axis) -> (Axis, &Costs) {
        match &self.time {
            Some(time) if axis == Axis::Time => (axis, time),
            _ => (Axis::Gas, &self.gas),
        }
    }
}

/// Answers `question` about the block of `recording`.
#[must_use]
pub fn explain(recording: &Recording, question: &Question) -> Explanation {
    let mut workers = [&WORKERS[..], &question.also, &[question.workers]].concat();
    workers.sort_unstable();
    workers.dedup();
    let costs = |axis, what_if: &WhatIf| {
        let graph = Graph::new(recording, axis, what_if);
        let conflict_chain = graph.conflict_chain();
        let cost = |step: &Step| graph.costs()[step.transaction];
        let path_costs = conflict_chain.iter().map(cost).collect();
        Costs { bounds: graph.bounds(&workers), conflict_chain, path_costs }
    };
    let timed = |what_if: &WhatIf| recording.timed.then(|| costs(Axis::Time, what_if));
    let what_if = &question.what_if;
    let changed = (!what_if.is_nothing()).then(|| Changed {
        what_if: what_if.clone(),
        untouched: what_if.untouched(recording),
        gas: costs(Axis::Gas, what_if),
        time: timed(what_if),
    });
    let transactions = recording.transactions.iter().enumerate();
    let reads_fees = transactions.filter(|(_, it)| it.reads_fees).map(|(index, _)| index);
    let axis = if recording.timed { question.axis } else { Axis::Gas };
    Explanation {
        conflicts: conflicts(recording, axis, question.workers, question.top),
        transactions: recording.transactions.len(),
        gas: costs(Axis::Gas, &WhatIf::NOTHING),
        time: timed(&WhatIf::NOTHING),
        changed,
        reads_fees: reads_fees.collect(),
    }
}
