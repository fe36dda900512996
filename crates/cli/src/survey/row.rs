//! A row for each file: a block with its bounds, or why there is none.

use crate::explain::{Bounds, Costs, OnWorkers, ratio};
use braid_testkit::fork;
use serde::Serialize;
use std::fmt;

/// A file that was read.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Row {
    /// It holds a block that was run.
    Block(Box<BlockRow>),
    /// It gave none.
    Failed(FailedRow),
}

/// A block and its bounds, in gas.
#[derive(Clone, Debug, Serialize)]
pub struct BlockRow {
    /// Name of the file.
    pub file: String,
    /// Always true.
    pub ok: bool,
    /// Chain.
    pub chain_id: u64,
    /// Number of the block.
    pub block: u64,
    /// Fork whose rules it obeys, as block files name it.
    pub fork: String,
    /// Transactions.
    pub txs: usize,
    /// Gas of all transactions.
    pub gas: u64,
    /// Gas of the most expensive one.
    pub longest: u64,
    /// Gas of the chain if a transaction waits only at its first read of what an earlier one writes.
    pub late_read: u64,
    /// Gas of the conflict chain.
    pub chain: u64,
    /// Transactions of the conflict chain.
    pub chain_txs: usize,
    /// Workers of the three columns that follow.
    pub workers: usize,
    /// Gas from start to end on these workers if nothing waits for anything.
    pub no_conflicts_on_workers: u64,
    /// The same with late reads.
    pub late_read_on_workers: u64,
    /// The same if transactions that conflict run one after the other.
    pub chain_on_workers: u64,
    /// What limits the block on these workers.
    pub limit: Limit,
    /// Speed-up of Braid in virtual time on these workers; null if the block cannot be simulated.
    pub virtual_speedup: Option<f64>,
    /// Speed-up of Braid on this machine; null if nothing was measured.
    pub measured_speedup: Option<f64>,
    /// Workers that this was measured with.
    pub measured_workers: Option<usize>,
    /// Share of a core that the sequential runs had meanwhile; null unless the machine was busy.
    pub busy_share: Option<f64>,
    /// What costs most on the conflict chain, in words; null if nothing waits.
    pub first: Option<String>,
}

/// A file that gave no block, or not the block that it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedRow {
    /// Name of the file.
    pub file: String,
    /// Always false.
    pub ok: bool,
    /// What is wrong.
    pub error: String,
}

/// What limits a block on a number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The conflict chain is more than a tenth longer than the two others.
    Conflicts,
    /// The longest transaction, which is longer than the share of a worker.
    Longest,
    /// All work shared out evenly among the workers.
    Workers,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Conflicts, Self::Longest, Self::Workers];

    /// The greatest of three lower bounds on the time of an engine that runs conflicting transactions one after the other.
    #[must_use]
    pub fn of(bounds: &Bounds, workers: usize) -> Self {
        let share = bounds.work / u64::try_from(workers.max(1)).unwrap_or(u64::MAX);
        let others = share.max(bounds.longest);
        if bounds.chain > others + others / 10 {
            Self::Conflicts
        } else if bounds.longest >= share {
            Self::Longest
        } else {
            Self::Workers
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conflicts => "conflicts",
            Self::Longest => "the longest transaction",
            Self::Workers => "the number of workers",
        })
    }
}

/// What Braid reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reached {
    /// In virtual time.
    pub simulated: Option<f64>,
    /// On this machine: workers and speed-up.
    pub measured: Option<(usize, f64)>,
    /// Share of a core that the sequential runs had, if the machine was busy.
    pub busy_share: Option<f64>,
}

impl Row {
    /// The block, if there is one.
    #[must_use]
    pub const fn block(&self) -> Option<&BlockRow> {
        match self {
            Self::Block(row) => Some(row),
            Self::Failed(_) => None,
        }
    }
}

impl FailedRow {
    /// A file with what is wrong with it.
    #[must_use]
    pub const fn new(file: String, error: String) -> Self {
        Self { file, ok: false, error }
    }
}

/// Where a block comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of the file.
    pub file: String,
    /// Chain.
    pub chain_id: u64,
    /// Number of the block.
    pub block: u64,
    /// Fork, as the file names it.
    pub fork: String,
}

impl BlockRow {
    /// The row of a block with `txs` transactions, the bounds `costs`, and what Braid reaches.
    #[must_use]
    pub fn new(
        origin: Origin,
        (txs, costs): (usize, &Costs),
        workers: usize,
        reached: Reached,
        first: Option<String>,
    ) -> Self {
        let bounds = &costs.bounds;
        let on = bounds.workers.iter().copied().find(|on| on.workers == workers);
        let unknown = OnWorkers { workers, chain: 0, late_read: 0, no_conflicts: 0 };
        let on = on.unwrap_or(unknown);
        let Origin { file, chain_id, block, fork } = origin;
        Self {
            file,
            ok: true,
            chain_id,
            block,
            fork: fork::parse(&fork).map_or(fork, |spec| fork::name(spec).to_owned()),
            txs,
            gas: bounds.work,
            longest: bounds.longest,
            late_read: bounds.late_read,
            chain: bounds.chain,
            chain_txs: costs.critical_path.len(),
            workers,
            no_conflicts_on_workers: on.no_conflicts,
            late_read_on_workers: on.late_read,
            chain_on_workers: on.chain,
            limit: Limit::of(bounds, workers),
            virtual_speedup: reached.simulated,
            measured_speedup: reached.measured.map(|(_, speedup)| speedup),
            measured_workers: reached.measured.map(|(workers, _)| workers),
            busy_share: reached.busy_share,
            first,
        }
    }

    /// The fork, with its place in time.
    pub(super) fn fork_in_order(&self) -> (u8, &str) {
        (fork::parse(&self.fork).map_or(u8::MAX, |spec| spec as u8), &self.fork)
    }

    /// Whether Braid, in virtual time, is faster than the conflict chain allows.
    pub(super) fn passes_the_chain(&self) -> bool {
        self.virtual_speedup.is_some_and(|reached| reached > self.speedup(self.chain))
    }

    /// How many times faster than one transaction after the other a block is that costs `span` from start to end.
    #[must_use]
    pub fn speedup(&self, span: u64) -> f64 {
        ratio(self.gas, span)
    }
}
