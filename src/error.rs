//! Errors of the engine. The errors of a block are in `evm::error`.

use crate::ids::TxIndex;

/// A rule of the protocol that was found broken: a bug in Braid, never a property of the input.
///
/// It is returned as a value, ends the block, and leaves the executor usable; it is never hidden
/// behind a sequential replay. Its message goes into the report of the bug; what it consists of may
/// change in any release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invariant {
    /// I2: a commit out of order, or a second one.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I2: transaction {tx} would commit while the frontier is {frontier}")]
    CommitOrder {
        /// The transaction that was about to commit.
        tx: TxIndex,
        /// The lowest index that is not committed.
        frontier: TxIndex,
    },
    /// I8: the frontier transaction met an estimate although everything below it is committed.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I8: frontier transaction {tx} is blocked on {on}")]
    FrontierBlocked {
        /// The frontier.
        tx: TxIndex,
        /// The transaction whose estimate it met.
        on: TxIndex,
    },
    /// I9: a transaction ran more often than the cap allows.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I9: transaction {tx} ran {runs} times")]
    WorkBound {
        /// The transaction.
        tx: TxIndex,
        /// Its runs so far.
        runs: u32,
    },
    /// An event arrived that answers no command, or the wrong one.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("unexpected event for transaction {tx}: {event}")]
    UnexpectedEvent {
        /// The transaction it speaks of.
        tx: TxIndex,
        /// Name of the event.
        event: &'static str,
    },
    /// A result that the protocol counts on is not there.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("no result is kept for transaction {tx}")]
    MissingResult {
        /// The transaction.
        tx: TxIndex,
    },
    /// I3: a transaction would commit on reads that no longer hold. Looked for in builds with debug
    /// assertions only: there is an argument that it cannot happen, and those builds test it.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I3: transaction {tx} would commit on reads that no longer hold")]
    StaleCommit {
        /// The transaction.
        tx: TxIndex,
    },
    /// I11: a transaction has read what was credited after it had.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I11: transaction {tx} has read a balance before all credits below it were there")]
    EarlyRead {
        /// The transaction.
        tx: TxIndex,
    },
    /// A location holds a value of another kind than its key says.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("a location holds a value of another kind")]
    ValueKind,
    /// Every worker ended while the block was not.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("all workers ended before the block did")]
    WorkersGone,
    /// A bounded channel was full although its capacity covers every message in flight.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("a channel was full: {channel}")]
    ChannelFull {
        /// Which channel.
        channel: &'static str,
    },
}
