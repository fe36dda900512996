//! What the protocol counts; no result depends on it.

/// What the protocol counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Runs of transactions, all incarnations.
    pub runs: u64,
    /// Incarnations that were published or begun and then thrown away.
    pub discarded: u64,
    /// Those of them that private batches had made: another one, or a skip, changed what they had
    /// read.
    pub discarded_in_batches: u64,
    /// Those of them that had results when speculation was given up or the block was cancelled.
    pub discarded_given_up: u64,
    /// Runs that met an estimate.
    pub blocked: u64,
    /// Speculative runs that failed.
    pub failed: u64,
    /// Commits of a result that a speculative job computed.
    pub speculative_commits: u64,
    /// Jobs taken back from the channel for the frontier.
    pub claims: u64,
    /// Jobs of the frontier that were taken over from a worker which came no nearer to its end.
    pub taken_over: u64,
    /// Private batches that the caller ran beside such a worker, and ended first.
    pub helped_batches: u64,
    /// Stretches that ran in order because speculation was wasted.
    pub in_order_stretches: u64,
    /// Jobs that workers reported.
    pub reports: u64,
    /// Sum over them of the transactions between the frontier and the first one of the job.
    pub ahead: u64,
}

impl Counters {
    /// Both together.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            discarded: self.discarded + other.discarded,
            discarded_in_batches: self.discarded_in_batches + other.discarded_in_batches,
            discarded_given_up: self.discarded_given_up + other.discarded_given_up,
            blocked: self.blocked + other.blocked,
            failed: self.failed + other.failed,
            speculative_commits: self.speculative_commits + other.speculative_commits,
            claims: self.claims + other.claims,
            taken_over: self.taken_over + other.taken_over,
            helped_batches: self.helped_batches + other.helped_batches,
            in_order_stretches: self.in_order_stretches + other.in_order_stretches,
            reports: self.reports + other.reports,
            ahead: self.ahead + other.ahead,
        }
    }
}

#[cfg(all(test, feature = "evm"))]
mod tests {
    use super::Counters;

    #[test]
    fn rounds_add_up() {
        let round = |first| Counters {
            runs: first,
            discarded: first + 1,
            blocked: first + 2,
            failed: first + 3,
            speculative_commits: first + 4,
            claims: first + 5,
            in_order_stretches: first + 6,
            taken_over: first + 7,
            helped_batches: first + 8,
            discarded_in_batches: first + 9,
            discarded_given_up: first + 10,
            reports: first + 11,
            ahead: first + 12,
        };
        let sum = round(10).plus(round(100));
        assert_eq!((sum.runs, sum.discarded, sum.blocked, sum.failed), (110, 112, 114, 116));
        let Counters { speculative_commits, claims, in_order_stretches, .. } = sum;
        assert_eq!((speculative_commits, claims, in_order_stretches), (118, 120, 122));
        assert_eq!((sum.taken_over, sum.helped_batches), (124, 126));
        assert_eq!((sum.discarded_in_batches, sum.discarded_given_up), (128, 130));
        assert_eq!((sum.reports, sum.ahead), (132, 134));
    }
}
