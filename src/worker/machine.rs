//! The traits that the engine requires of a machine, which runs transactions, and of a ledger,
//! which keeps the outcomes.

use super::Context;
use super::stop::{NoResult, Stop};
use crate::ids::{Chunk, TxIndex, WorkerId};
use crate::mv::{AccessLog, Entry, Location, ReadSet, Store};
use core::fmt::Debug;

/// The state before the block, as read by one worker.
pub trait Base<L: Location> {
    /// Why a read failed.
    type Error: Debug + Send;

    /// Returns the value of `location` before the block. Equal calls must return equal values.
    ///
    /// # Errors
    /// Returns the error of the state's source. Errors are not cached; the read may be repeated.
    fn read(&mut self, location: &L) -> Result<L::Value, Self::Error>;
}

/// The effects of a run.
#[derive(Debug)]
pub struct Effects<L: Location, O> {
    /// Entries, at most one per location.
    pub writes: Vec<(L, Entry<L>)>,
    /// Output for the ledger when the transaction commits.
    pub output: O,
    /// Cost of the run, in the unit of the plan (gas).
    pub cost: u64,
}

/// Runs transactions on one worker. It owns the worker's view of the state.
pub trait Machine {
    /// Key of a piece of state.
    type Location: Location;
    /// Outcome of a transaction.
    type Output: Send;
    /// Why a transaction is invalid.
    type Rejection: Debug + Send;
    /// Why the base state could not be read.
    type BaseError: Debug + Send;

    /// Starts a chunk, which shares nothing with earlier runs. Within a chunk, a transaction may
    /// use values that an earlier transaction of the chunk has read or written, without reading
    /// them from the view; if the earlier one aborts, so does this one (I14). This requires
    /// [`shared_chunks`](crate::protocol::Limits::shared_chunks) in the limits.
    fn begin_chunk(&mut self) {}

    /// Moves the view to the state below `tx`.
    fn begin(&mut self, tx: TxIndex);

    /// As [`begin`](Self::begin), for a helper: `tx` is the frontier, and another worker may be
    /// running it. See [`View::begin_second`].
    ///
    /// [`View::begin_second`]: super::View::begin_second
    fn begin_second(&mut self, tx: TxIndex);

    /// Runs `tx`. Equal reads must lead to equal results.
    ///
    /// # Errors
    /// Returns the reason why the transaction is invalid on the state that it read.
    fn run(
        &mut self,
        tx: TxIndex,
    ) -> Result<Effects<Self::Location, Self::Output>, Self::Rejection>;

    /// Returns whether a transaction rejected for `reason` can be skipped, if the caller permits
    /// skipping.
    fn may_skip(reason: &Self::Rejection) -> bool {
        let _ = reason;
        true
    }

    /// Returns the reads since `begin`, and why the view stopped, if it did.
    fn end(&mut self) -> (ReadSet<Self::Location>, Option<Stop<Self::BaseError>>);
}

/// Parameters of a run of a private batch.
#[derive(Debug)]
pub struct BatchStart<L: Location> {
    /// The members to run.
    pub txs: Chunk,
    /// Index of the snapshot: members run on the committed prefix below it.
    pub snapshot: TxIndex,
    /// Log that receives the accesses.
    pub log: AccessLog<L>,
    /// Whether another worker runs the same batch. This run is then registered nowhere.
    pub is_second: bool,
}

/// Results of a run of a private batch.
#[derive(Debug)]
pub struct RanBatch<L: Location, G> {
    /// Results of the transactions, in groups of contiguous transactions that commit together.
    pub groups: Vec<(Chunk, G)>,
    /// Reads from the snapshot and writes, with the end of each group.
    pub log: Option<AccessLog<L>>,
}

/// Runs private batches on one worker: transactions run sequentially, with one journal, on a
/// snapshot.
pub trait BatchMachine {
    /// Key of a piece of state.
    type Location: Location;
    /// Result of a group of transactions.
    type Group: Send;
    /// Why a transaction is invalid.
    type Rejection: Debug + Send;
    /// Why the base state could not be read.
    type BaseError: Debug + Send;

    /// Starts a private batch.
    fn begin(&mut self, start: BatchStart<Self::Location>);

    /// Runs `tx`, the next transaction, and keeps its changes. Equal reads must lead to equal
    /// results.
    ///
    /// # Errors
    /// Returns why `tx` has no result. Its changes are dropped, and the segment ends before it. If
    /// its result is final only at the frontier, the error is [`NoResult::TOO_EARLY`].
    fn run(&mut self, tx: TxIndex) -> Result<(), NoResult<Self::Rejection, Self::BaseError>>;

    /// Ends the batch and returns its results; after a panic, the results of the transactions
    /// before the panic.
    fn end(&mut self) -> RanBatch<Self::Location, Self::Group>;
}

/// The transactions of a block. It creates a [`Machine`] for each worker, on the worker's thread.
pub trait Workload: Sync {
    /// Key of a piece of state.
    type Location: Location;
    /// Outcome of a transaction.
    type Output: Send;
    /// Why a transaction is invalid.
    type Rejection: Debug + Send;
    /// Why the base state could not be read.
    type BaseError: Debug + Send;
    /// A worker's machine.
    type Machine<'a, X: Context + 'a>: Machine<
            Location = Self::Location,
            Output = Self::Output,
            Rejection = Self::Rejection,
            BaseError = Self::BaseError,
        >
    where
        Self: 'a;
    /// Result of a group of transactions in a private batch.
    type Group: Send;
    /// A worker's machine for private batches.
    type Batches<'a, X: Context + 'a>: BatchMachine<
            Location = Self::Location,
            Group = Self::Group,
            Rejection = Self::Rejection,
            BaseError = Self::BaseError,
        >
    where
        Self: 'a;

    /// Calls `credit` with each delta that a transaction with this output adds when it commits. The
    /// locations are read only if everything below the reader is final, so no reader has to be
    /// named.
    fn credits(
        &self,
        output: &Self::Output,
        credit: impl FnMut(Self::Location, <Self::Location as Location>::Delta),
    );

    /// Creates a machine for `worker`, over `store`.
    ///
    /// # Errors
    /// Returns an error if the base state could not be opened.
    fn machine<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<Self::Location>,
        context: &'a X,
    ) -> Result<Self::Machine<'a, X>, Self::BaseError>;

    /// Creates a machine for private batches of `worker`, over `store`.
    ///
    /// # Errors
    /// Returns an error if the base state could not be opened.
    fn batches<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<Self::Location>,
        context: &'a X,
    ) -> Result<Self::Batches<'a, X>, Self::BaseError>;
}

/// Stores the outcomes, in block order. Its methods are called at the frontier, by one thread at a
/// time.
pub trait Ledger: Send {
    /// Outcome of a transaction.
    type Output;
    /// Why a transaction is not in the block.
    type Rejection;
    /// Result of a group of transactions in a private batch.
    type Group: Send;

    /// Checks that the block has room for `tx`.
    ///
    /// # Errors
    /// Returns the reason why `tx` does not fit.
    fn admit(&mut self, tx: TxIndex) -> Result<(), Self::Rejection>;

    /// Commits `tx`.
    fn commit(&mut self, tx: TxIndex, output: Self::Output);

    /// Skips `tx`.
    fn skip(&mut self, tx: TxIndex, reason: Self::Rejection);

    /// Returns whether the commits so far show that speculation costs more than it saves.
    fn is_unprofitable(&self) -> bool;

    /// Returns whether the block has room for each of `txs`, whose result is `group`.
    fn admits(&mut self, txs: Chunk, group: &Self::Group) -> bool;

    /// Commits `txs`, whose result is `group`.
    fn commit_group(&mut self, txs: Chunk, group: Self::Group);
}

/// A ledger for the transactions of `W`.
pub trait LedgerOf<W: Workload>:
    Ledger<Output = W::Output, Rejection = W::Rejection, Group = W::Group>
{
}

impl<W, G> LedgerOf<W> for G
where
    W: Workload,
    G: Ledger<Output = W::Output, Rejection = W::Rejection, Group = W::Group>,
{
}
