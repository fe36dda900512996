//! How transactions can run, and why they do: what the executor tells of it.

use core::fmt;

/// How transactions run. No result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// One after the other, on the calling thread.
    InOrder,
    /// In chunks on all workers, which read what lower transactions have left before that commits:
    /// what has read too early runs again (Block-STM).
    Speculative,
    /// In private batches of neighbours.
    Neighbours,
    /// In rounds of private batches: transactions that share a sender, a call or a payee are in
    /// one batch.
    Groups,
    /// In private batches of neighbours that read what the block's access list says (EIP-7928).
    AccessList,
    /// In rounds of private batches: transactions whose declarations conflict are in one batch
    /// ([`Declaration`](crate::Declaration)).
    Declared,
}

/// Why transactions run as they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// [`Config::policy`](crate::Config::policy) asks for it.
    Policy,
    /// There is one worker.
    OneWorker,
    /// The block takes too little gas to wake other workers for.
    TooLittleGas,
    /// Handing a transaction to another worker costs more time than it saves, in the mean: by gas
    /// limits at first, then by what has run.
    CheapTransactions,
    /// One sender has most of the gas: its transactions depend on each other by their nonces.
    OneSender,
    /// Most of the gas goes to calls that had to run one after the other in earlier blocks.
    KnownChain,
    /// Most of what ran ahead had to be discarded.
    Discarded,
    /// A transaction did something else than was expected of it, and runs by itself.
    Unexpected,
    /// No account that pays or is paid is in both of the first two batches.
    BeginsApart,
    /// Next to no transaction shares a sender, a call or a payee with an earlier one.
    Independent,
    /// Neighbours turned out to need each other, or many speculative runs were discarded; or such
    /// batches have paid in the last block that tried them.
    Contended,
    /// The block comes with its access list.
    Listed,
    /// Transactions declare what they access. In order, if most of them conflict.
    Declared,
    /// Storage is slow: what runs ahead reads for the others.
    SlowStorage,
    /// Nothing is known that speaks against it.
    NothingKnown,
}

/// A stretch of a block: transactions that ran in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stretch {
    /// Its first transaction.
    pub first: u32,
    /// The first transaction after it.
    pub end: u32,
    /// How they ran.
    pub strategy: Strategy,
    /// Why.
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
