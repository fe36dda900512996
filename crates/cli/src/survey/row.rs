//! A row for each file: a block with its bounds, or an error.

use crate::explain::{Bounds, Costs, OnWorkers, ratio};
use braid_blocks::fork;
use serde::Serialize;
use std::fmt;

/// A file that was read.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Row {
    /// The file has a block, which was executed.
    Block(Box<BlockRow>),
    /// The file has no usable block.
    Failed(FailedRow),
}

/// A block and its bounds, in gas.
#[derive(Clone, Debug, Serialize)]
pub struct BlockRow {
    /// Name of the file.
    pub file: String,
    /// Always true.
    pub ok: bool,
    /// EIP-155 id of the chain.
    pub chain_id: u64,
    /// Number of the block.
    pub block: u64,
    /// Fork whose rules it follows, as block files write it.
    pub fork: String,
    /// Number of transactions.
    pub txs: usize,
    /// Gas of all transactions.
    pub gas: u64,
    /// Gas of the most expensive transaction.
    pub longest: u64,
    /// Gas of the longest chain if a transaction waits only at its first read of an earlier write.
    pub late_read: u64,
    /// Gas of the conflict chain.
    pub chain: u64,
    /// Number of transactions of the conflict chain.
    pub chain_txs: usize,
    /// Number of workers of the next three columns.
    pub workers: usize,
    /// Gas from start to end on these workers if no transaction waits.
    pub no_conflicts_on_workers: u64,
    /// Same, with late reads.
    pub late_read_on_workers: u64,
    /// Same, if conflicting transactions run one after the other.
    pub chain_on_workers: u64,
    /// What limits the block on these workers.
    pub limit: Limit,
    /// Speed-up of Braid on these simulated workers; null if the block cannot be simulated.
    pub simulated_speedup: Option<f64>,
    /// Speed-up of Braid on this machine; null if not measured.
    pub measured_speedup: Option<f64>,
    /// Number of workers of the measurement.
    pub measured_workers: Option<usize>,
    /// Processor time over wall time of the sequential runs meanwhile; null unless the machine was
    /// busy.
    pub busy_share: Option<f64>,
    /// Description of the most expensive location of the conflict chain; null if no transaction
    /// waits.
    pub first: Option<String>,
}

/// A file without a usable block, or whose block does not match it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedRow {
    /// Name of the file.
    pub file: String,
    /// Always false.
    pub ok: bool,
    /// The error.
    pub error: String,
}

/// What limits a block on a number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The conflict chain is more than a tenth longer than the two other bounds.
    Conflicts,
    /// The longest transaction exceeds an even share of the work.
    Longest,
    /// All work, shared evenly among the workers.
    Workers,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 3] = [Self::Conflicts, Self::Longest, Self::Workers];

    /// Returns the largest of three lower bounds on the time of an engine that runs conflicting
    /// transactions one after the other.
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

/// Speed-ups that Braid reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reached {
    /// Simulated.
    pub simulated: Option<f64>,
    /// On this machine: number of workers, and speed-up.
    pub measured: Option<(usize, f64)>,
    /// Processor time over wall time of the sequential runs, if the machine was busy.
    pub busy_share: Option<f64>,
}

impl Row {
    /// Returns the block, if there is one.
    #[must_use]
    pub const fn block(&self) -> Option<&BlockRow> {
        match self {
            Self::Block(row) => Some(row),
            Self::Failed(_) => None,
        }
    }
}

impl FailedRow {
    /// Creates the row of a file with an error.
    #[must_use]
    pub const fn new(file: String, error: String) -> Self {
        Self { file, ok: false, error }
    }
}

/// Origin of a block.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of the file.
    pub file: String,
    /// EIP-155 id of the chain.
    pub chain_id: u64,
    /// Number of the block.
    pub block: u64,
    /// Fork, as the file writes it.
    pub fork: String,
}

impl BlockRow {
    /// Creates the row of a block with `txs` transactions, the bounds `costs`, and Braid's
    /// speed-ups.
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
            chain_txs: costs.conflict_chain.len(),
            workers,
            no_conflicts_on_workers: on.no_conflicts,
            late_read_on_workers: on.late_read,
            chain_on_workers: on.chain,
            limit: Limit::of(bounds, workers),
            simulated_speedup: reached.simulated,
            measured_speedup: reached.measured.map(|(_, speedup)| speedup),
            measured_workers: reached.measured.map(|(workers, _)| workers),
            busy_share: reached.busy_share,
            first,
        }
    }

    /// Returns the fork, with its position in history.
    pub(super) fn fork_in_order(&self) -> (u8, &str) {
        (fork::parse(&self.fork).map_or(u8::MAX, |spec| spec as u8), &self.fork)
    }

    /// Returns whether Braid, simulated, is faster than the conflict chain allows.
    pub(super) fn passes_the_chain(&self) -> bool {
        self.simulated_speedup.is_some_and(|reached| reached > self.speedup(self.chain))
    }

    /// Returns the speed-up of an execution that costs `span` from start to end.
    #[must_use]
    pub fn speedup(&self, span: u64) -> f64 {
        ratio(self.gas, span)
    }
}
