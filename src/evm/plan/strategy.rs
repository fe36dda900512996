//! Strategies, and the reasons for them that the executor reports.

use core::fmt;

/// How transactions run. Results do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Sequentially, on the calling thread.
    Sequential,
    /// In chunks on several workers. Transactions read what lower ones have written before it
    /// commits; one that has read a stale value is aborted and runs again (Block-STM).
    Speculative,
    /// In contiguous private batches.
    ContiguousBatches,
    /// In contiguous private batches that read the block's access list (EIP-7928).
    AccessList,
}

/// Why a strategy was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Forced by [`Config::policy`](crate::Config::policy).
    Policy,
    /// There is one worker.
    OneWorker,
    /// The block has too little gas to be worth waking other workers.
    TooLittleGas,
    /// The transactions are too short to share: on average, handing one to another worker costs
    /// more than it saves. Judged by gas limits at first, then by the transactions that have run.
    ShortTransactions,
    /// One sender has most of the gas; its transactions depend on each other by their nonces.
    OneSender,
    /// Most of the gas is on one chain of transactions, each of which declares what the one before
    /// may change.
    OneChain,
    /// Most of the gas goes to calls that depended on each other in earlier blocks.
    LearnedConflicts,
    /// Most speculative runs were aborted.
    Aborts,
    /// A transaction needs a fact that no access list states, so it runs sequentially.
    Unlisted,
    /// The first two batches have no paying or paid account in common.
    DisjointStart,
    /// Few predicted conflicts: hardly any transaction shares a sender, a call or a payee with an
    /// earlier one.
    Independent,
    /// Contiguous batches conflicted, many speculative runs were aborted, or predicted dependencies
    /// paid in the last block that tried them: speculative transactions wait for the last lower one
    /// of the same sender, call or payee.
    Contended,
    /// The block comes with its access list.
    AccessList,
    /// Storage is slow: speculative runs fetch values for the others.
    SlowStorage,
    /// The default.
    Default,
}

/// A segment of a block: consecutive transactions that ran with one strategy for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Segment {
    /// Index of its first transaction.
    pub first: u32,
    /// Index of the first transaction after it.
    pub end: u32,
    /// How its transactions ran.
    pub strategy: Strategy,
    /// Why this strategy was chosen.
    pub reason: Reason,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sequential => "sequentially",
            Self::Speculative => "speculatively",
            Self::ContiguousBatches => "in contiguous batches",
            Self::AccessList => "by access list",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "forced by policy",
            Self::OneWorker => "one worker",
            Self::TooLittleGas => "too little gas to share",
            Self::ShortTransactions => "transactions too short to share",
            Self::OneSender => "one sender has most of the gas",
            Self::OneChain => "one chain of declared accesses has most of the gas",
            Self::LearnedConflicts => "the same calls conflicted in earlier blocks",
            Self::Aborts => "most speculative runs aborted",
            Self::Unlisted => "a transaction needs a fact that the access list does not state",
            Self::DisjointStart => "the first two batches share no account",
            Self::Independent => "few predicted conflicts",
            Self::Contended => "many conflicts, dependencies predicted",
            Self::AccessList => "the block has an access list",
            Self::SlowStorage => "slow storage: speculative runs fetch values",
            Self::Default => "default",
        })
    }
}

impl fmt::Display for Segment {
    /// `0..220 sequentially: one worker`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, end, strategy, reason } = self;
        write!(f, "{first}..{end} {strategy}: {reason}")
    }
}
