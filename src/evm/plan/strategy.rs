//! Strategies and the reasons for them, as the executor reports them.

use core::fmt;

/// How transactions run. Results do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Sequentially, on the calling thread.
    InOrder,
    /// In chunks on all workers. Transactions read what lower ones have written before it commits;
    /// one that has read too early is aborted and runs again (Block-STM).
    Speculative,
    /// In contiguous private batches.
    Neighbours,
    /// In rounds of private batches. Transactions with the same sender, call or payee are in one
    /// batch.
    Groups,
    /// In contiguous private batches that read the block's access list (EIP-7928).
    AccessList,
    /// In rounds of private batches. Transactions whose declarations conflict are in one batch
    /// ([`Declaration`](crate::Declaration)).
    Declared,
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
    CheapTransactions,
    /// One sender has most of the gas; its transactions depend on each other by their nonces.
    OneSender,
    /// Most of the gas goes to calls that depended on each other in earlier blocks.
    KnownChain,
    /// Most speculative runs were aborted.
    Discarded,
    /// A transaction did something unexpected and runs by itself.
    Unexpected,
    /// The first two batches have no paying or paid account in common.
    BeginsApart,
    /// Few predicted conflicts: hardly any transaction shares a sender, a call or a payee with an
    /// earlier one.
    Independent,
    /// Contiguous batches conflicted, many speculative runs were aborted, or rounds of batches paid
    /// in the last block that tried them.
    Contended,
    /// The block comes with its access list.
    Listed,
    /// Transactions declare their accesses. With [`Strategy::InOrder`]: most of the declarations
    /// conflict.
    Declared,
    /// Storage is slow: speculative runs fetch values for the others.
    SlowStorage,
    /// The default.
    NothingKnown,
}

/// A stretch of a block: consecutive transactions that ran with one strategy for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stretch {
    /// Its first transaction.
    pub first: u32,
    /// The first transaction after it.
    pub end: u32,
    /// Their strategy.
    pub strategy: Strategy,
    /// The reason for it.
    pub reason: Reason,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InOrder => "in order",
            Self::Speculative => "speculatively",
            Self::Neighbours => "in batches of neighbours",
            Self::Groups => "in batches by sender and call",
            Self::AccessList => "in batches by the access list",
            Self::Declared => "in batches by declaration",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "the policy asks for it",
            Self::OneWorker => "there is one worker",
            Self::TooLittleGas => "the block takes too little gas to wake other workers for",
            Self::CheapTransactions => "its transactions are too cheap to hand to other workers",
            Self::OneSender => "one sender has most of the gas",
            Self::KnownChain => "such calls needed each other in earlier blocks",
            Self::Discarded => "most of what ran ahead had to be discarded",
            Self::Unexpected => "a transaction did something else than was expected",
            Self::BeginsApart => "its first two batches share no account",
            Self::Independent => "next to no transaction looks tied to an earlier one",
            Self::Contended => "many of its transactions conflict",
            Self::Listed => "the block comes with its list",
            Self::Declared => "its transactions declare what they access",
            Self::SlowStorage => "storage is slow, and what runs ahead reads for the others",
            Self::NothingKnown => "nothing speaks against it",
        })
    }
}

impl fmt::Display for Stretch {
    /// `0..220 in order: there is one worker`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, end, strategy, reason } = self;
        write!(f, "{first}..{end} {strategy}: {reason}")
    }
}
