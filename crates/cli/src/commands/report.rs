//! Totals of the reports about all blocks.

use braid_blocks::verify::{BlockReport, Measured, Timed, Verdict, checks::Check};
use braid_evm::{Reason, Segment, Strategy};
use braid_terminal::End;
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
            self.measured += measured;
            if let Some(reason) = in_order(report) {
                *self.in_order.entry(reason).or_default() += 1;
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
                "MISMATCH in {} of {blocks} block{}: the lines above show the differences; ignore the times.",
                self.mismatches,
                if blocks == 1 { "" } else { "s" },
            ));
        }
        let speedup = self.measured.timed.as_ref().and_then(Timed::speedup)?;
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
                format!("{which} ran mostly sequentially ({reason}); try braid explain")
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

/// Returns why more than half of a block ran sequentially, if it did: the reason of the longest
/// part.
fn in_order(report: &BlockReport) -> Option<Reason> {
    let length = |segment: &Segment| segment.end - segment.first;
    let in_order =
        report.segments.iter().filter(|segment| segment.strategy == Strategy::Sequential);
    let sum: u32 = in_order.clone().map(length).sum();
    let is_most = u64::from(sum) * 2 > report.transactions as u64;
    in_order.max_by_key(|segment| length(segment)).filter(|_| is_most).map(|it| it.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_blocks::timing::Times;
    use std::time::Duration;

    #[test]
    fn the_sentence_counts_blocks_in_order() {
        let times = |wall| Times { wall: Duration::from_millis(wall), cpu: Duration::ZERO };
        let timed = Some(Timed { sequential: times(19), parallel: times(10) });
        let measured = Measured { timed, ..Measured::default() };
        let mut totals = Totals { right: 6, measured, ..Totals::default() };
        let says = |totals: &Totals| totals.sentence().expect("it was measured");
        let parallel = "1.9 times as fast as sequential; all 6 blocks ran in parallel.";
        assert_eq!(says(&totals), parallel);
        totals.in_order = HashMap::from([(Reason::Aborts, 2), (Reason::OneSender, 1)]);
        let mixed = "1.9 times as fast as sequential; 3 of 6 blocks ran mostly sequentially \
                     (most speculative runs aborted); try braid explain.";
        assert_eq!(says(&totals), mixed);
        assert_eq!(Totals::default().sentence(), None);
        totals.mismatches = 1;
        let wrong =
            "MISMATCH in 1 of 7 blocks: the lines above show the differences; ignore the times.";
        assert_eq!(says(&totals), wrong);
    }
}
