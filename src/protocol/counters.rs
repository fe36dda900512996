//! Counters of the protocol. No result depends on them.

/// Counters of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Executions of transactions, counting every incarnation.
    pub runs: u64,
    /// Incarnations that were begun or published and then aborted.
    pub aborts: u64,
    /// Aborted incarnations of private batches: a commit of another batch changed a location that
    /// they had accessed, or the block had no room for their group.
    pub batch_aborts: u64,
    /// Aborted incarnations that had results when the block was cancelled or speculation was
    /// stopped.
    pub fallback_aborts: u64,
    /// Executions that read an estimate, or needed a value that is final only at the frontier.
    pub blocked: u64,
    /// Speculative executions that failed.
    pub failed: u64,
    /// Committed results of speculative jobs.
    pub speculative_commits: u64,
    /// Jobs taken back from the channel because the frontier had reached them.
    pub claims: u64,
    /// Jobs of the frontier that a helper took over from a stalled worker.
    pub helped_transactions: u64,
    /// Private batches that the caller ran in parallel with a stalled worker and finished first.
    pub helped_batches: u64,
    /// Speculative segments that ended early.
    pub fallback_segments: u64,
    /// Jobs reported by workers.
    pub reports: u64,
    /// Sum, over the reported jobs, of the distance between the frontier and their first
    /// transaction.
    pub ahead: u64,
}

impl Counters {
    /// Adds two sets of counters.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            aborts: self.aborts + other.aborts,
            batch_aborts: self.batch_aborts + other.batch_aborts,
            fallback_aborts: self.fallback_aborts + other.fallback_aborts,
            blocked: self.blocked + other.blocked,
            failed: self.failed + other.failed,
            speculative_commits: self.speculative_commits + other.speculative_commits,
            claims: self.claims + other.claims,
            helped_transactions: self.helped_transactions + other.helped_transactions,
            helped_batches: self.helped_batches + other.helped_batches,
            fallback_segments: self.fallback_segments + other.fallback_segments,
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
            aborts: first + 1,
            blocked: first + 2,
            failed: first + 3,
            speculative_commits: first + 4,
            claims: first + 5,
            fallback_segments: first + 6,
            helped_transactions: first + 7,
            helped_batches: first + 8,
            batch_aborts: first + 9,
            fallback_aborts: first + 10,
            reports: first + 11,
            ahead: first + 12,
        };
        let sum = round(10).plus(round(100));
        assert_eq!((sum.runs, sum.aborts, sum.blocked, sum.failed), (110, 112, 114, 116));
        let Counters { speculative_commits, claims, fallback_segments, .. } = sum;
        assert_eq!((speculative_commits, claims, fallback_segments), (118, 120, 122));
        assert_eq!((sum.helped_transactions, sum.helped_batches), (124, 126));
        assert_eq!((sum.batch_aborts, sum.fallback_aborts), (128, 130));
        assert_eq!((sum.reports, sum.ahead), (132, 134));
    }
}
