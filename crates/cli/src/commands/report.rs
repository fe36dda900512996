//! What is reported of a block, and of all blocks together.

use crate::checks::{Check, CheckResult};
use braid_evm::{AccessListError, Reason, Stats, Strategy, Stretch};
use braid_terminal::End;
use std::{collections::HashMap, path::PathBuf, time::Duration};

/// Time that something took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// On the clock.
    pub(super) wall: Duration,
    /// User and system time of all threads of the process.
    pub(super) cpu: Duration,
}

impl Times {
    fn add(&mut self, other: Self) {
        self.wall = self.wall.saturating_add(other.wall);
        self.cpu = self.cpu.saturating_add(other.cpu);
    }
}

/// One block that was run, or could not be.
#[derive(Debug)]
pub(super) struct BlockReport {
    pub(super) file: String,
    pub(super) block: u64,
    pub(super) transactions: usize,
    pub(super) verdict: Verdict,
    /// Comparisons with the header that were made.
    pub(super) checks: Vec<CheckResult>,
    /// Why the state root could not be checked although there is a witness.
    pub(super) not_checkable: Option<String>,
    /// The file of its access list, if there is one.
    pub(super) list: Option<ListReport>,
    /// How the transactions ran in the first round, and why.
    pub(super) path: Vec<Stretch>,
    /// `None` if there is no result to measure.
    pub(super) measured: Option<Measured>,
}

/// The access list of a block, in a file.
#[derive(Debug)]
pub(super) struct ListReport {
    pub(super) file: PathBuf,
    /// Whether it was written; read otherwise.
    pub(super) written: bool,
    /// What is wrong with it.
    pub(super) wrong: Option<AccessListError>,
}

/// What became of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Everything agrees.
    Right,
    /// Something does not; one line each.
    Mismatch(Vec<String>),
    /// Both executions reject the block, for the same reason.
    Rejected { error: String, transaction: Option<usize> },
}

/// Processor time over time on the clock below which the machine counts as busy.
const BUSY: f64 = 0.8;

/// How both executions of a block went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    /// Gas used by the block.
    pub(super) gas: u64,
    /// Transactions that were left out (build mode).
    pub(super) skipped: usize,
    /// Median over all rounds.
    pub(super) sequential: Times,
    /// Median over all rounds.
    pub(super) parallel: Times,
    /// Counters of the first round.
    pub(super) stats: Stats,
}

impl Measured {
    /// Sequential over parallel time on the clock; above 1 is faster. `None` if unmeasurably short.
    pub(super) fn speedup(&self) -> Option<f64> {
        ratio(self.sequential.wall, self.parallel.wall)
    }

    /// Parallel over sequential processor time; above 1 is more work. `None` if unmeasurably short.
    pub(super) fn cpu_ratio(&self) -> Option<f64> {
        ratio(self.parallel.cpu, self.sequential.cpu)
    }

    /// Share of a core that the sequential runs had, if the machine computed something else meanwhile.
    pub(super) fn busy_share(&self) -> Option<f64> {
        // Below a millisecond the clocks of the system tell nothing.
        let Times { wall, cpu } = self.sequential;
        let share = ratio(cpu, wall).filter(|_| wall > Duration::from_millis(1))?;
        (share < BUSY).then_some(share)
    }

    fn add(&mut self, other: &Self) {
        self.gas = self.gas.saturating_add(other.gas);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.sequential.add(other.sequential);
        self.parallel.add(other.parallel);
        let (sum, more) = (&mut self.stats, &other.stats);
        sum.workers = sum.workers.max(more.workers);
        sum.transactions = sum.transactions.saturating_add(more.transactions);
        sum.incarnations = sum.incarnations.saturating_add(more.incarnations);
        sum.discarded = sum.discarded.saturating_add(more.discarded);
        sum.speculative = sum.speculative.saturating_add(more.speculative);
    }
}

fn ratio(over: Duration, under: Duration) -> Option<f64> {
    let under = under.as_secs_f64();
    (under > 0.0).then(|| over.as_secs_f64() / under)
}

/// All blocks together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Number of blocks with no difference.
    pub(super) right: usize,
    /// Number of blocks with a difference.
    pub(super) mismatches: usize,
    /// Blocks that both executions reject.
    pub(super) rejected: usize,
    /// Files that could not be used.
    pub(super) unusable: usize,
    /// Blocks whose state root was compared with the header's.
    pub(super) state_roots: usize,
    /// Blocks with a witness that does not tell the state root.
    pub(super) not_checkable: usize,
    /// Transactions of all blocks that were run to their end.
    pub(super) transactions: usize,
    /// Sums over these blocks.
    pub(super) measured: Measured,
    /// How many of these transactions ran how, and why.
    pub(super) ran: HashMap<(Strategy, Reason), u64>,
    /// Number of blocks that ran in order for more than half, by the most frequent reason.
    pub(super) in_order: HashMap<Reason, u64>,
}

impl Totals {
    pub(super) fn add(&mut self, report: &BlockReport) {
        let counter = match report.verdict {
            Verdict::Right => &mut self.right,
            Verdict::Mismatch(_) => &mut self.mismatches,
            Verdict::Rejected { .. } => &mut self.rejected,
        };
        *counter = counter.saturating_add(1);
        let compared = report.checks.iter().any(|made| made.check == Check::StateRoot);
        self.state_roots = self.state_roots.saturating_add(usize::from(compared));
        let unknown = usize::from(report.not_checkable.is_some());
        self.not_checkable = self.not_checkable.saturating_add(unknown);
        if let Some(measured) = &report.measured {
            self.transactions = self.transactions.saturating_add(report.transactions);
            self.measured.add(measured);
            if let Some(reason) = in_order(report) {
                *self.in_order.entry(reason).or_default() += 1;
            }
            for stretch in &report.path {
                let ran = self.ran.entry((stretch.strategy, stretch.reason)).or_default();
                *ran += u64::from(stretch.end - stretch.first);
            }
        }
    }

    pub(super) fn add_unusable(&mut self) {
        self.unusable = self.unusable.saturating_add(1);
    }

    /// What came of it in one sentence; `None` if nothing was measured. Where something differs, no time counts.
    pub(super) fn sentence(&self) -> Option<String> {
        if self.mismatches > 0 {
            let blocks = self.files().saturating_sub(self.unusable);
            return Some(format!(
                "MISMATCH in {} of {blocks} block{}: the lines above say what differs, and the times mean nothing.",
                self.mismatches,
                if blocks == 1 { "" } else { "s" },
            ));
        }
        let speedup = self.measured.speedup()?;
        let blocks = self.right;
        let in_order: u64 = self.in_order.values().sum();
        let why = self.in_order.iter().max_by_key(|(reason, count)| (**count, reason.to_string()));
        let how = match why {
            None if blocks == 1 => "the block ran in parallel".to_owned(),
            None => format!("all {blocks} blocks ran in parallel"),
            Some((reason, _)) => {
                let which = match (blocks, in_order) {
                    (1, _) => "the block".to_owned(),
                    (_, count) => format!("{count} of {blocks} blocks"),
                };
                format!("{which} ran mostly in order, because {reason}; try braid explain")
            }
        };
        Some(format!("{speedup:.1} times as fast as sequential; {how}."))
    }

    /// How many files there were.
    pub(super) fn files(&self) -> usize {
        [self.right, self.mismatches, self.rejected, self.unusable].iter().sum()
    }

    pub(super) fn end(&self) -> End {
        if self.mismatches > 0 {
            End::Mismatch
        } else if self.rejected > 0 || self.unusable > 0 {
            End::BadInput
        } else {
            End::Right
        }
    }
}

/// Why more than half of a block ran in order, if it did: the reason of the longest part.
fn in_order(report: &BlockReport) -> Option<Reason> {
    let length = |stretch: &Stretch| stretch.end - stretch.first;
    let in_order = report.path.iter().filter(|stretch| stretch.strategy == Strategy::InOrder);
    let sum: u32 = in_order.clone().map(length).sum();
    let is_most = u64::from(sum) * 2 > report.transactions as u64;
    in_order.max_by_key(|stretch| length(stretch)).filter(|_| is_most).map(|it| it.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_counts_blocks_in_order() {
        let times = |wall| Times { wall: Duration::from_millis(wall), cpu: Duration::ZERO };
        let measured =
            Measured { sequential: times(19), parallel: times(10), ..Measured::default() };
        let mut totals = Totals { right: 6, measured, ..Totals::default() };
        let says = |totals: &Totals| totals.sentence().expect("it was measured");
        let parallel = "1.9 times as fast as sequential; all 6 blocks ran in parallel.";
        assert_eq!(says(&totals), parallel);
        totals.in_order = HashMap::from([(Reason::Discarded, 2), (Reason::OneSender, 1)]);
        let mixed = "1.9 times as fast as sequential; 3 of 6 blocks ran mostly in order, because \
                     most of what ran ahead had to be discarded; try braid explain.";
        assert_eq!(says(&totals), mixed);
        assert_eq!(Totals::default().sentence(), None);
        totals.mismatches = 1;
        let wrong = "MISMATCH in 1 of 7 blocks: the lines above say what differs, and the times mean nothing.";
        assert_eq!(says(&totals), wrong);
    }
}
