//! What a block starts with: its bounds, and how it is cut up.

use super::batch::Batch;
use crate::ids::{Chunk, TxIndex};

/// How eagerly to speculate. It may change speed, never a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Speculate; end where that was mostly wasted, if [`Limits::hands_over`] says so.
    #[default]
    Auto,
    /// Always speculate. For tests that must see the parallel path.
    ForceSpeculative,
    /// Speculate and run in order by turns, a few transactions each, whether it pays or not. For
    /// tests that must see what lies between.
    Alternate,
    /// Never speculate: one transaction after the other, at the frontier.
    InOrder,
}

/// Bounds and choices of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Indices that may be dispatched ahead of the frontier; at least 1.
    pub window: u32,
    /// Jobs in the channel or on workers at one time; at least 1.
    pub job_capacity: u32,
    /// Runs of one transaction before it has to wait for the frontier; at least 1.
    pub max_speculative_runs: u32,
    /// How eagerly to speculate.
    pub policy: Policy,
    /// Leave rejected transactions out (build) instead of ending the block (validate).
    pub skip_rejected: bool,
    /// Transactions of one chunk share a journal, so that each depends on all before it (I14).
    pub shared_chunks: bool,
    /// Where that much was wasted the block ends ([`Halt::HandedOver`](super::Halt::HandedOver)):
    /// its owner goes on by other means. Without it speculation is never given up.
    pub hands_over: Option<Waste>,
    /// The block ends ([`Halt::HandedOver`](super::Halt::HandedOver)) where the rest of a private
    /// batch may not go on: its owner makes another plan. Without it the rest runs again on a later
    /// snapshot.
    pub hands_over_rest: bool,
    /// Transactions of a stretch in order after which its run reports what it has left, before it
    /// goes on; at least 1.
    pub stride: u32,
}

/// From when on speculation counts as wasted: many runs are discarded, and next to none is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waste {
    /// At least this many runs were discarded in `commits` commits.
    pub runs: u32,
    /// At most this many of the `commits` came from speculative runs that were the first or second
    /// of their transaction.
    pub kept: u32,
    /// Commits between two looks.
    pub commits: u32,
}

impl Waste {
    /// On `workers` workers.
    ///
    /// In a chain of dependent transactions each commit discards a run or more, and no speculative
    /// run is kept but by chance: two of 32 on two workers (`f_unipool`, virtual time). Real block
    /// 5526571, which discards as much and gains, keeps nine. On more workers the next one of a
    /// chain runs again as soon as the one before has published, and is kept: `d_erc20hot` on four
    /// real cores, with two runs discarded for each commit, came to 0.3, and to 1.3 once it was
    /// given up. More workers waste by fits and starts, so that it takes longer to tell: block
    /// 4330482 on eight of them comes to 2.3 instead of 3.9 with 32 commits (virtual time).
    #[must_use]
    pub const fn on(workers: usize) -> Self {
        let times = if workers > 2 { 2 } else { 1 };
        Self { runs: 30 * times, kept: 6 * times, commits: 32 * times }
    }
}

impl Default for Waste {
    /// On two workers.
    fn default() -> Self {
        Self::on(2)
    }
}

/// How a block is cut up. Everything but the chunk boundaries is a hint, and those are too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Everything below this index is final already: 0, or the end of an earlier round.
    pub first: TxIndex,
    /// What those from here on have left that are final already is not in the store: the owner has
    /// it, and hands it to a stretch in order that begins the plan. None if all of it is there.
    pub carried: Option<TxIndex>,
    /// All transactions that are in no private batch, in ranges from `first` on: what is dispatched
    /// together.
    pub chunks: Vec<Chunk>,
    /// Private batches: together with the chunks they hold each transaction once.
    pub private: Vec<Batch>,
    /// Transactions that never run above the frontier.
    pub frontier_only: Vec<TxIndex>,
    /// (transaction, lower transaction that it is known to depend on): it waits for the lower
    /// one's first publication.
    pub dependencies: Vec<(TxIndex, TxIndex)>,
    /// Transactions that take much longer than others: each goes out by itself, before all others
    /// that could, as soon as the window reaches it, so that no worker waits for it in the end.
    pub longest: Vec<TxIndex>,
}

impl Plan {
    /// One chunk per transaction, no hints.
    #[must_use]
    pub fn singles(transactions: u32) -> Self {
        let chunk = |first| Chunk { first: TxIndex(first), end: TxIndex(first + 1) };
        Self { chunks: (0..transactions).map(chunk).collect(), ..Self::default() }
    }
}
