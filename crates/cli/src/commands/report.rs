//! Totals of the reports about all blocks.

use braid_blocks::verify::{BlockReport, Measured, Timed, Verdict, checks::Check};
use braid_evm::{Reason, Segment, Strategy};
use braid_terminal::{End, counted};
use std::collections::HashMap;

/// Totals over all blocks.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Number of blocks without differences.
    pub(super) right: usize,
    /// Number of blocks with a difference.
    pub(super) mismatches: usize,
    /// Number of blocks that both executions reject.
    pub(super) rejected: usize,
    /// Number of files that could not be used.
    pub(super) unusable: usize,
    /// Number of blocks whose state root was compared with the header's.
    pub(super) state_roots: usize,
    /// Number of blocks whose witness is too small to compute the state root.
    pub(super) not_checkable: usize,
    /// Number of transactions of all blocks that were executed.
    pub(super) transactions: usize,
    /// Sums over these blocks.
    pub(super) measured: Measured,
    /// Number of transactions by strategy and reason.
    pub(super) ran: HashMap<(Strategy, Reason), u64>,
    /// Number of blocks of which more than half ran sequentially, by the reason of the longest
    /// part.
    pub(super) sequential: HashMap<Reason, u64>,
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
            self.measured += measured;
            if let Some(reason) = why_sequential(report) {
                *self.sequential.entry(reason).or_default() += 1;
            }
            for segment in &report.segments {
                let ran = self.ran.entry((segment.strategy, segment.reason)).or_default();
                *ran += u64::from(segment.end - segment.first);
            }
        }
    }

    pub(super) fn add_unusable(&mut self) {
        self.unusable = self.unusable.saturating_add(1);
    }

    /// Returns a one-sentence summary; `None` if nothing was measured. Times are left out if there
    /// are differences.
    pub(super) fn sentence(&self) -> Option<String> {
        if self.mismatches > 0 {
            let blocks = self.files().saturating_sub(self.unusable);
            return Some(format!(
                "MISMATCH in {} of {}: the lines above show the differences; ignore the times. \
                 docs/TROUBLESHOOTING.md lists usual causes.",
                self.mismatches,
                counted(blocks, "block"),
            ));
        }
        let speedup = self.measured.timed.as_ref().and_then(Timed::speedup)?;
        let blocks = self.right;
        let sequential: u64 = self.sequential.values().sum();
        let why =
            self.sequential.iter().max_by_key(|(reason, count)| (**count, reason.to_string()));
        let aborts = self.measured.stats.aborts;
        let how = match why {
            None if speedup < SLOWER && aborts > 0 => format!(
                "{} aborted; braid explain names the conflicts",
                if aborts == 1 { "1 run was".to_owned() } else { format!("{aborts} runs were") },
            ),
            None if blocks == 1 => "the block ran in parallel".to_owned(),
            None => format!("all {blocks} blocks ran in parallel"),
            Some((reason, _)) => {
                let which = match (blocks, sequential) {
                    (1, _) => "the block".to_owned(),
                    (_, count) => format!("{count} of {blocks} blocks"),
                };
                let next = match names_conflicts(*reason) {
                    true => "; braid explain names the conflicts",
                    false => "",
                };
                format!("{which} ran mostly sequentially ({reason}){next}")
            }
        };
        Some(format!("{speedup:.1} times as fast as sequential; {how}."))
    }

    /// Returns the number of files.
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

/// Speed-up below which the summary names aborted runs.
const SLOWER: f64 = 0.95;

/// Returns why more than half of a block ran sequentially, if it did: the reason of the longest
/// part.
fn why_sequential(report: &BlockReport) -> Option<Reason> {
    let length = |segment: &Segment| segment.end - segment.first;
    let sequential =
        report.segments.iter().filter(|segment| segment.strategy == Strategy::Sequential);
    let sum: u32 = sequential.clone().map(length).sum();
    let is_most = u64::from(sum) * 2 > report.transactions as u64;
    sequential.max_by_key(|segment| length(segment)).filter(|_| is_most).map(|it| it.reason)
}

/// Returns whether a block ran sequentially because of conflicts, which `braid explain` names.
const fn names_conflicts(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Aborts | Reason::LearnedConflicts | Reason::OneSender | Reason::OneChain
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_blocks::timing::Times;
    use std::time::Duration;

    #[test]
    fn the_sentence_counts_sequential_blocks_and_names_the_next_step() {
        let times = |wall| Times { wall: Duration::from_millis(wall), cpu: Duration::ZERO };
        let timed = Some(Timed { sequential: times(19), parallel: times(10) });
        let measured = Measured { timed, ..Measured::default() };
        let mut totals = Totals { right: 6, measured, ..Totals::default() };
        let says = |totals: &Totals| totals.sentence().expect("it was measured");
        let parallel = "1.9 times as fast as sequential; all 6 blocks ran in parallel.";
        assert_eq!(says(&totals), parallel);
        totals.sequential = HashMap::from([(Reason::Aborts, 2), (Reason::OneSender, 1)]);
        let mixed = "1.9 times as fast as sequential; 3 of 6 blocks ran mostly sequentially \
                     (most speculative runs aborted); braid explain names the conflicts.";
        assert_eq!(says(&totals), mixed);
        totals.sequential = HashMap::from([(Reason::OneWorker, 6)]);
        let alone = "1.9 times as fast as sequential; 6 of 6 blocks ran mostly sequentially \
                     (one worker).";
        assert_eq!(says(&totals), alone);
        totals.sequential.clear();
        let timed = Some(Timed { sequential: times(10), parallel: times(20) });
        totals.measured.timed = timed;
        totals.measured.stats.aborts = 29;
        let slower = "0.5 times as fast as sequential; 29 runs were aborted; braid explain names \
                      the conflicts.";
        assert_eq!(says(&totals), slower);
        assert_eq!(Totals::default().sentence(), None);
        totals.mismatches = 1;
        let wrong = "MISMATCH in 1 of 7 blocks: the lines above show the differences; ignore the times. \
             docs/TROUBLESHOOTING.md lists usual causes.";
        assert_eq!(says(&totals), wrong);
    }
}
