//! Errors of the engine. The errors of a block are in `evm::block::error`.

use crate::ids::TxIndex;

/// A broken rule of the protocol: a bug in Braid, never a property of the input.
///
/// It is returned as a value, ends the block, and leaves the executor usable; it is never hidden by
/// executing the block sequentially. Include its message in a bug report. Its variants and fields
/// may change in any release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invariant {
    /// I2: a transaction would commit out of order or twice.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I2: transaction {tx} would commit while the frontier is {frontier}")]
    CommitOrder {
        /// The transaction that was about to commit.
        tx: TxIndex,
        /// The lowest index that is not committed.
        frontier: TxIndex,
    },
    /// I8: the frontier transaction read an estimate although every lower transaction is committed.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I8: frontier transaction {tx} is blocked on {on}")]
    FrontierBlocked {
        /// The frontier.
        tx: TxIndex,
        /// The transaction whose estimate it read.
        on: TxIndex,
    },
    /// I9: a transaction ran more often than its limit allows.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I9: transaction {tx} ran {runs} times")]
    WorkBound {
        /// The transaction.
        tx: TxIndex,
        /// Number of its executions so far.
        runs: u32,
    },
    /// An event arrived that answers no command, or the wrong command.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("unexpected event for transaction {tx}: {event}")]
    UnexpectedEvent {
        /// The transaction of the event.
        tx: TxIndex,
        /// Name of the event.
        event: &'static str,
    },
    /// A result that the protocol relies on is missing.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("no result is kept for transaction {tx}")]
    MissingResult {
        /// The transaction.
        tx: TxIndex,
    },
    /// I3: a transaction would commit on reads that no longer hold. The protocol rules this out;
    /// builds with debug assertions check it nevertheless.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I3: transaction {tx} would commit on reads that no longer hold")]
    StaleCommit {
        /// The transaction.
        tx: TxIndex,
    },
    /// I11: a transaction read a balance before all credits of lower transactions were published.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("I11: transaction {tx} has read a balance before all credits below it were there")]
    EarlyRead {
        /// The transaction.
        tx: TxIndex,
    },
    /// A location holds a value of a kind that does not match its key.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("a location holds a value of another kind")]
    ValueKind,
    /// All workers ended before the block did.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("all workers ended before the block did")]
    WorkersGone,
    /// A bounded channel was full although its capacity covers all messages in flight.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[error("a channel was full: {channel}")]
    ChannelFull {
        /// Name of the channel.
        channel: &'static str,
    },
}
