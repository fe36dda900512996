//! What the engine asks of whoever can run a transaction, and of whoever keeps the outcomes.

use super::Context;
use super::view::Stop;
use crate::ids::{TxIndex, WorkerId};
use crate::mv::{Entry, Location, ReadSet, Store};
use core::any::Any;
use core::fmt::Debug;

/// The state before the block, as one worker reads it.
pub trait Base<L: Location> {
    /// Why a read failed.
    type Error: Debug + Send;

    /// The value of `location` before the block. Equal calls give equal answers.
    ///
    /// # Errors
    /// Whatever the source of the state reports. It is not cached; the read may be repeated.
    fn read(&mut self, location: &L) -> Result<L::Value, Self::Error>;
}

/// What a run leaves.
#[derive(Debug)]
pub struct Effects<L: Location, O> {
    /// Each location at most once.
    pub writes: Vec<(L, Entry<L>)>,
    /// What the ledger gets when the transaction commits.
    pub output: O,
    /// How much work the run was, in the unit of the plan (gas).
    pub cost: u64,
}

/// One worker's means to run transactions. It owns its view of the state.
pub trait Machine {
    /// Keys of the state.
    type Location: Location;
    /// Outcome of a transaction.
    type Output: Send;
    /// Why a transaction is invalid.
    type Rejection: Debug + Send;
    /// Why the base state could not be read.
    type BaseError: Debug + Send;

    /// What follows shares nothing with what ran before. Within a chunk a transaction may find
    /// what an earlier one of it has read or written without asking the view again; it is thrown
    /// away whenever that earlier one is (I14). The limits must say so:
    /// [`shared_chunks`](crate::protocol::Limits::shared_chunks).
    fn begin_chunk(&mut self) {}

    /// Points the view at the state below `tx`.
    fn begin(&mut self, tx: TxIndex);

    /// Runs `tx`. The same reads give the same result.
    ///
    /// # Errors
    /// The reason why the transaction is invalid on what it saw.
    fn run(
        &mut self,
        tx: TxIndex,
    ) -> Result<Effects<Self::Location, Self::Output>, Self::Rejection>;

    /// Whether the block can go on without a transaction that is refused for `reason`, where the
    /// caller wants that.
    fn may_skip(reason: &Self::Rejection) -> bool {
        let _ = reason;
        true
    }

    /// Takes the reads since `begin`, and what stopped the view.
    fn end(&mut self) -> (ReadSet<Self::Location>, Option<Stop<Self::BaseError>>);
}

/// The transactions of a block: makes a [`Machine`] for each worker, on its thread.
pub trait Workload: Sync {
    /// Keys of the state.
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

    /// What a transaction with this output adds to locations once it is committed. Such a location is
    /// read only where everything below the reader is final, so nobody is told.
    fn credits(
        &self,
        output: &Self::Output,
        credit: impl FnMut(Self::Location, <Self::Location as Location>::Delta),
    );

    /// A machine for `worker`, over `store`.
    ///
    /// # Errors
    /// The base state could not be opened.
    fn machine<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<Self::Location>,
        context: &'a X,
    ) -> Result<Self::Machine<'a, X>, Self::BaseError>;
}

/// Keeps the outcomes, in order. It is called at the frontier only, by one thread at a time.
pub trait Ledger: Send {
    /// Outcome of a transaction.
    type Output;
    /// Why a transaction is not in the block.
    type Rejection;

    /// Has the block room for `tx`?
    ///
    /// # Errors
    /// What is missing.
    fn admit(&mut self, tx: TxIndex) -> Result<(), Self::Rejection>;

    /// `tx` is committed.
    fn commit(&mut self, tx: TxIndex, output: Self::Output);

    /// `tx` is left out.
    fn skip(&mut self, tx: TxIndex, reason: Self::Rejection);
}

/// Why a transaction has no result.
pub enum TxError<R, E> {
    /// It is invalid.
    Rejected(R),
    /// The base state could not be read.
    Base(E),
    /// The machine panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
}

impl<R: Debug, E: Debug> Debug for TxError<R, E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Rejected(reason) => f.debug_tuple("Rejected").field(reason).finish(),
            Self::Base(error) => f.debug_tuple("Base").field(error).finish(),
            Self::Panicked(_) => f.write_str("Panicked"),
        }
    }
}
