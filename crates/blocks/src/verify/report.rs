//! Report about one block.

use super::checks::CheckResult;
use crate::timing::Times;
use alloy_primitives::B256;
use braid_evm::{AccessListError, Segment, Stats};
use std::{ops::AddAssign, path::PathBuf, time::Duration};

/// Report about a block that was executed or rejected.
#[derive(Clone, Debug)]
pub struct BlockReport {
    /// Name of the block's file.
    pub file: String,
    /// Number of the block.
    pub block: u64,
    /// Hash of the block's header.
    pub hash: B256,
    /// Number of transactions.
    pub transactions: usize,
    /// Whether both executions agree with each other and with the header.
    pub verdict: Verdict,
    /// Comparisons with the header.
    pub checks: Vec<CheckResult>,
    /// Why the state root could not be computed although there is a witness.
    pub not_checkable: Option<String>,
    /// The block's access list file, if there is one.
    pub list: Option<ListReport>,
    /// How the transactions ran in the first round, and why.
    pub segments: Vec<Segment>,
    /// Measurements; `None` if there is no result to measure.
    pub measured: Option<Measured>,
}

/// A block's access list file.
#[derive(Clone, Debug)]
pub struct ListReport {
    /// Path of the file.
    pub file: PathBuf,
    /// Whether the file was written; otherwise it was read.
    pub written: bool,
    /// The error in the list.
    pub wrong: Option<AccessListError>,
}

/// Verdict on a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything agrees.
    Right,
    /// There are differences, one per line.
    Mismatch(Vec<String>),
    /// Both executions reject the block for the same reason.
    Rejected {
        /// The reason.
        error: String,
        /// Index of the invalid transaction; `None` if the error belongs to none.
        transaction: Option<usize>,
    },
}

/// Measurements of both executions of a block, or of several blocks together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Gas used.
    pub gas: u64,
    /// Number of skipped transactions (build mode).
    pub skipped: usize,
    /// `None` if no round was timed.
    pub timed: Option<Timed>,
    /// Counters of the first round.
    pub stats: Stats,
}

/// Times of both executions, each the median over all rounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timed {
    /// Sequential revm.
    pub sequential: Times,
    /// Braid.
    pub parallel: Times,
}

impl Timed {
    /// Processor time over wall time below which the machine counts as busy.
    const BUSY: f64 = 0.8;

    /// Returns sequential over parallel wall time; above 1 is faster. `None` if the time is too
    /// short to measure.
    #[must_use]
    pub fn speedup(&self) -> Option<f64> {
        ratio(self.sequential.wall, self.parallel.wall)
    }

    /// Returns parallel over sequential processor time; above 1 is additional work. `None` if the
    /// time is too short to measure.
    #[must_use]
    pub fn cpu_ratio(&self) -> Option<f64> {
        ratio(self.parallel.cpu, self.sequential.cpu)
    }

    /// Returns processor time over wall time of the sequential runs, if the machine was busy
    /// meanwhile.
    #[must_use]
    pub fn busy_share(&self) -> Option<f64> {
        // Below a millisecond, the system's processor times are too coarse.
        let Times { wall, cpu } = self.sequential;
        let share = ratio(cpu, wall).filter(|_| wall > Duration::from_millis(1))?;
        (share < Self::BUSY).then_some(share)
    }
}

impl AddAssign<&Self> for Measured {
    fn add_assign(&mut self, other: &Self) {
        self.gas = self.gas.saturating_add(other.gas);
        self.skipped = self.skipped.saturating_add(other.skipped);
        if let Some(more) = other.timed {
            let sum = self.timed.get_or_insert_default();
            sum.sequential += more.sequential;
            sum.parallel += more.parallel;
        }
        let (sum, more) = (&mut self.stats, &other.stats);
        sum.workers = sum.workers.max(more.workers);
        sum.transactions = sum.transactions.saturating_add(more.transactions);
        sum.incarnations = sum.incarnations.saturating_add(more.incarnations);
        sum.aborts = sum.aborts.saturating_add(more.aborts);
        sum.speculative_commits = sum.speculative_commits.saturating_add(more.speculative_commits);
    }
}

fn ratio(over: Duration, under: Duration) -> Option<f64> {
    let under = under.as_secs_f64();
    (under > 0.0).then(|| over.as_secs_f64() / under)
}
