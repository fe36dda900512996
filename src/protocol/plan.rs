//! Input of a block: its limits, and its division into jobs.

use crate::ids::{Chunk, TxIndex};
use crate::thresholds::{WASTE_ABORTS, WASTE_COMMITS, WASTE_FACTOR, WASTE_KEPT};

/// Limits of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Number of indices that may be dispatched ahead of the frontier; at least 1.
    pub window: u32,
    /// Maximum number of jobs in the channel or on workers; at least 1.
    pub job_capacity: u32,
    /// Maximum number of executions of a transaction before it has to wait for the frontier; at
    /// least 1.
    pub max_speculative_runs: u32,
    /// Whether rejected transactions are skipped (build) or end the block (validate).
    pub skip_rejected: bool,
    /// Whether the transactions of a chunk share a journal, so that each depends on all before it
    /// (I14).
    pub shared_chunks: bool,
    /// The amount of waste at which the block ends with
    /// [`Halt::Fallback`](super::Halt::Fallback). `None`: speculation never stops early.
    pub fallback: Option<Waste>,
}

/// Criterion for wasted speculation: many executions abort, and few commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waste {
    /// Minimum number of executions aborted during `commits` commits.
    pub runs: u32,
    /// Maximum number of the `commits` that came from the first or second speculative execution of
    /// their transaction.
    pub kept: u32,
    /// Number of commits between two checks.
    pub commits: u32,
}

impl Waste {
    /// Returns the criterion for `workers` workers.
    #[must_use]
    pub const fn on(workers: usize) -> Self {
        let factor = if workers > 2 { WASTE_FACTOR } else { 1 };
        Self {
            runs: WASTE_ABORTS * factor,
            kept: WASTE_KEPT * factor,
            commits: WASTE_COMMITS * factor,
        }
    }
}

impl Waste {
    /// Ends speculation after two commits, whether it pays or not: for tests of the transition.
    pub const AFTER_TWO: Self = Self { runs: 0, kept: u32::MAX, commits: 2 };
}

impl Default for Waste {
    /// Returns the criterion for two workers.
    fn default() -> Self {
        Self::on(2)
    }
}

/// The division of a block into jobs. Only speed depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Everything below this index is already final, and its writes are in the store.
    pub first: TxIndex,
    /// The transactions from `first` on, in contiguous ranges, none of which is empty.
    pub jobs: Jobs,
}

/// How the transactions of a plan run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Jobs {
    /// Each transaction publishes its writes, and is validated.
    Chunks(Chunks),
    /// Private batches.
    Batches(Vec<Chunk>),
}

/// Transactions in chunks, with hints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chunks {
    /// Contiguous ranges, each dispatched as one job.
    pub ranges: Vec<Chunk>,
    /// Transactions that never run above the frontier.
    pub frontier_only: Vec<TxIndex>,
    /// Pairs of a transaction and a lower one that it depends on: it waits for the lower one's
    /// first publication.
    pub dependencies: Vec<(TxIndex, TxIndex)>,
    /// Transactions that take much longer than others. Each is dispatched alone, before all others,
    /// as soon as the window reaches it, so that no worker waits for it at the end.
    pub longest: Vec<TxIndex>,
}

impl Chunks {
    /// Creates one chunk per transaction, with no hints.
    #[must_use]
    pub fn singles(transactions: u32) -> Self {
        let chunk = |first| Chunk { first: TxIndex(first), end: TxIndex(first + 1) };
        Self { ranges: (0..transactions).map(chunk).collect(), ..Self::default() }
    }
}

impl Jobs {
    /// Returns the private batches.
    #[must_use]
    pub fn batches(&self) -> &[Chunk] {
        match self {
            Self::Chunks(_) => &[],
            Self::Batches(ranges) => ranges,
        }
    }

    /// Returns the ranges of the jobs, in block order.
    #[must_use]
    pub fn ranges(&self) -> &[Chunk] {
        match self {
            Self::Chunks(chunks) => &chunks.ranges,
            Self::Batches(ranges) => ranges,
        }
    }
}

impl Plan {
    /// Creates a plan with one chunk per transaction and no hints.
    #[must_use]
    pub fn singles(transactions: u32) -> Self {
        Chunks::singles(transactions).into()
    }

    /// Returns the index after the last transaction.
    #[must_use]
    pub fn end(&self) -> TxIndex {
        self.jobs.ranges().last().map_or(self.first, |last| last.end)
    }
}

impl From<Jobs> for Plan {
    /// Everything below the first job is final.
    fn from(jobs: Jobs) -> Self {
        Self { first: jobs.ranges().first().map_or(TxIndex(0), |range| range.first), jobs }
    }
}

impl From<Chunks> for Plan {
    fn from(chunks: Chunks) -> Self {
        Jobs::Chunks(chunks).into()
    }
}
