//! What the engine asks of a machine that runs transactions, and of a ledger that keeps the
//! outcomes.

use super::Context;
use super::stop::Stop;
use crate::ids::{Chunk, TxIndex, Version, WorkerId};
use crate::mv::{AccessLog, Entry, Location, ReadSet, Store};
use crate::panics::Payload;
use crate::protocol::Batch;
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

    /// The same where `tx` is the frontier and another worker may be running it: see
    /// [`View::begin_second`].
    ///
    /// [`View::begin_second`]: super::View::begin_second
    fn begin_second(&mut self, tx: TxIndex);

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

/// A member of a private batch has no result. Nothing of it is left.
///
/// Above the frontier it waits, whatever the reason: it is invalid or failed on what it saw, or
/// asked for what is settled only at the frontier. In a stretch in order what it saw is final, and
/// so is the reason.
#[derive(Debug)]
pub struct MustWait<R, E> {
    /// Why, if that is final.
    pub error: Option<TxError<R, E>>,
}

impl<R, E> MustWait<R, E> {
    /// It will be seen at the frontier.
    pub const UNKNOWN: Self = Self { error: None };
}

/// Where a run of a private batch begins.
#[derive(Debug)]
pub struct BatchStart<'b, L: Location, C, R> {
    /// The batch.
    pub batch: &'b Batch,
    /// Its members in this range run.
    pub txs: Chunk,
    /// They run on the committed prefix below this index.
    pub snapshot: TxIndex,
    /// Gets what they access, where that is compared.
    pub log: Option<AccessLog<L>>,
    /// What a stretch in order begins with: then everything below is final.
    pub in_order: Option<InOrder<C, R>>,
    /// Another worker runs the same: this run is remembered nowhere.
    pub is_second: bool,
}

/// What a stretch in order begins with.
#[derive(Debug)]
pub struct InOrder<C, R> {
    /// What the run before it has left; without it all that lies below is in the store.
    pub carry: Option<C>,
    /// What the block has room for.
    pub room: R,
    /// Invalid transactions are skipped: the run may skip one by itself, as a member of its group
    /// that leaves nothing, and go on. All that it has seen is final.
    pub skips_rejected: bool,
}

/// What a run of a private batch leaves.
#[derive(Debug)]
pub struct RanBatch<L: Location, G, C> {
    /// What its transactions leave, by groups of neighbours that commit together.
    pub groups: Vec<(Chunk, G)>,
    /// What they have read from the snapshot and written, with an end for each group.
    pub log: Option<AccessLog<L>>,
    /// What the next run goes on from, if this was one of a stretch in order.
    pub carry: Option<C>,
}

impl<L: Location, G, C> RanBatch<L, G, C> {
    /// What a run leaves that could not begin: what it was to go on from.
    pub(super) const fn nothing(carry: Option<C>) -> Self {
        Self { groups: Vec::new(), log: None, carry }
    }
}

/// One worker's means to run private batches: transactions one after the other with one journal, on
/// a snapshot.
pub trait BatchMachine {
    /// Keys of the state.
    type Location: Location;
    /// What a group of transactions leaves.
    type Group: Send;
    /// The state after a run of a stretch in order, as the next one goes on from it.
    type Carry: Debug + Send;
    /// What a block has room for.
    type Room: Send;
    /// Why a transaction is invalid.
    type Rejection: Debug + Send;
    /// Why the base state could not be read.
    type BaseError: Debug + Send;

    /// What follows are transactions of a private batch.
    fn begin(&mut self, start: BatchStart<'_, Self::Location, Self::Carry, Self::Room>);

    /// Runs `tx`, the next one, and keeps what it leaves. The same reads give the same result.
    ///
    /// # Errors
    /// [`MustWait`] ends the batch before `tx`.
    fn run(&mut self, tx: TxIndex) -> Result<(), MustWait<Self::Rejection, Self::BaseError>>;

    /// What the batch has left: also after a panic, of all transactions before that.
    fn end(&mut self) -> RanBatch<Self::Location, Self::Group, Self::Carry>;
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
    /// What a group of transactions of a private batch leaves.
    type Group: Send;
    /// The state after a run of a stretch in order.
    type Carry: Debug + Send;
    /// What a block has room for.
    type Room: Send;
    /// A worker's machine for private batches.
    type Batches<'a, X: Context + 'a>: BatchMachine<
            Location = Self::Location,
            Group = Self::Group,
            Carry = Self::Carry,
            Room = Self::Room,
            Rejection = Self::Rejection,
            BaseError = Self::BaseError,
        >
    where
        Self: 'a;

    /// What a ledger keeps of transactions that were committed by group.
    type Left: Clone + Send;

    /// The entries of `left`, credited ones included. One location may come more than once
    /// only if all of it are deltas.
    fn entries(&self, left: &Self::Left, each: impl FnMut(Self::Location, Entry<Self::Location>));

    /// The entries of `carry` that are not in `store`: the newest one for each location, tombstones
    /// first.
    fn carried(
        &self,
        carry: Self::Carry,
        store: &Store<Self::Location>,
        each: impl FnMut(Version, Self::Location, Entry<Self::Location>),
    );

    /// What a transaction with this output adds to locations once it is committed. Such a location
    /// is read only where everything below the reader is final, so no reader is named.
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

    /// A machine of `worker` for private batches, over `store`.
    ///
    /// # Errors
    /// The base state could not be opened.
    fn batches<'a, X: Context + 'a>(
        &'a self,
        worker: WorkerId,
        store: &'a Store<Self::Location>,
        context: &'a X,
    ) -> Result<Self::Batches<'a, X>, Self::BaseError>;
}

/// Keeps the outcomes, in order. It is called at the frontier only, by one thread at a time.
pub trait Ledger: Send {
    /// Outcome of a transaction.
    type Output;
    /// Why a transaction is not in the block.
    type Rejection;
    /// What a group of transactions of a private batch leaves.
    type Group: Send;
    /// What is kept of it once it is committed.
    type Left: Clone + Send;
    /// What a block has room for.
    type Room: Send;

    /// Has the block room for `tx`?
    ///
    /// # Errors
    /// What is missing.
    fn admit(&mut self, tx: TxIndex) -> Result<(), Self::Rejection>;

    /// `tx` is committed.
    fn commit(&mut self, tx: TxIndex, output: Self::Output);

    /// `tx` is left out.
    fn skip(&mut self, tx: TxIndex, reason: Self::Rejection);

    /// Whether what has committed shows that speculation costs more than it saves.
    fn gives_up(&self) -> bool;

    /// What there is room for.
    fn room(&self) -> Self::Room;

    /// Has the block room for each of `txs`, which have left `group`?
    fn admits(&mut self, txs: Chunk, group: &Self::Group) -> bool;

    /// `txs` are committed; they have left `group`.
    fn commit_group(&mut self, txs: Chunk, group: Self::Group);

    /// What those of `txs` have left that were committed by group, in order; that of neighbours may
    /// be with the last of them.
    fn left(&self, txs: Chunk) -> impl Iterator<Item = (TxIndex, &Self::Left)>;
}

/// A ledger for the transactions of `W`.
pub trait LedgerOf<W: Workload>:
    Ledger<
        Output = W::Output,
        Rejection = W::Rejection,
        Group = W::Group,
        Left = W::Left,
        Room = W::Room,
    >
{
}

impl<W, G> LedgerOf<W> for G
where
    W: Workload,
    G: Ledger<
            Output = W::Output,
            Rejection = W::Rejection,
            Group = W::Group,
            Left = W::Left,
            Room = W::Room,
        >,
{
}

/// Why a transaction has no result.
pub enum TxError<R, E> {
    /// It is invalid.
    Rejected(R),
    /// The base state could not be read.
    Base(E),
    /// The machine panicked, with this payload.
    Panicked(Payload),
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
