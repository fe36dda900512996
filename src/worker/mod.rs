//! The actors: workers that run transactions, and the coordinator lock that they pass around.
//!
//! A worker takes a job from a bounded channel, runs its transactions against a [`View`] of the
//! store, publishes each write set completely, and only then posts its report. Then it tries to
//! take the coordinator lock. The worker that holds the coordinator lock feeds reports to the
//! protocol and performs its commands; it looks again after releasing the lock, so that no report
//! is left behind.
//!
//! There is no thread that only coordinates, and no worker spins for the lock or waits for it.

mod actor;
mod batch;
mod batches;
mod cancel;
mod claim;
mod claims;
mod commit;
mod coordinate;
mod coordinator;
mod entries;
mod events;
mod help;
#[cfg(all(test, braid_loom))]
mod loom_batches;
#[cfg(all(test, braid_loom))]
mod loom_hasty;
#[cfg(all(test, braid_loom))]
mod loom_machine;
#[cfg(all(test, braid_loom))]
mod loom_tests;
#[cfg(all(test, braid_loom))]
mod loom_told;
mod machine;
mod message;
mod mutants;
mod ran;
mod shared;
mod stop;
mod view;
mod watch;

pub use crate::panics::Payload;
pub use actor::work;
pub use cancel::CancellationToken;
pub use events::{EngineEvent, RunEnd, TraceEvent};
pub use machine::{
    Base, BatchMachine, BatchStart, Effects, InOrder, Ledger, LedgerOf, Machine, MustWait,
    RanBatch, TxError, Workload,
};
pub use mutants::WorkerMutant;
pub use shared::{BlockEnd, Setup, Shared};
pub use stop::{Stop, Stopped};
pub use view::View;

use crate::ids::{Chunk, TxIndex};
use crate::sync::Receiver;

/// Where an actor may be interrupted: the simulator's choice points, and what they cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    /// A run of a transaction begins.
    Begin,
    /// A read of a location resolves.
    Read,
    /// The base state is read.
    BaseRead,
    /// One entry is published or removed.
    Publish,
    /// Reads are compared before publishing.
    Check,
    /// A message is sent or received.
    Message,
    /// A job is reported and the next one is not begun.
    Between,
    /// The coordinator lock is taken or released.
    Coordinator,
    /// The frontier is validated.
    Validate,
    /// An outcome is committed.
    Commit,
}

/// What an actor does to transactions, for a runtime that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// It begins a private batch, or a part of a stretch in order: members of this range run one
    /// after the other.
    Batch(Chunk),
    /// It begins to run a transaction, which lasts until the actor is interrupted outside a read.
    Run(TxIndex),
    /// The last run of the transaction met one that has to end first, or has to wait for its turn.
    Blocked(TxIndex),
    /// It may have changed what the run of this transaction by another actor has read: that run
    /// ends if it has.
    Overtook(TxIndex),
    /// Something has changed that the last run of the transaction had read: it ended then.
    Overtaken(TxIndex),
    /// These are committed.
    Committed(Chunk),
}

/// Where an actor may be interrupted.
pub trait Interrupt {
    /// Offers to be interrupted.
    fn yield_at(&self, point: Point);

    /// Says what the actor does. Threads do not listen.
    fn tell(&self, activity: Activity) {
        let _ = activity;
    }
}

impl<I: Interrupt> Interrupt for &I {
    fn yield_at(&self, point: Point) {
        (**self).yield_at(point);
    }

    fn tell(&self, activity: Activity) {
        (**self).tell(activity);
    }
}

/// The context of an actor of any type, for machines that are compiled once; `None` if nothing
/// interrupts their runs.
pub type AnyInterrupt<'a> = Option<&'a dyn Interrupt>;

impl Interrupt for AnyInterrupt<'_> {
    fn yield_at(&self, point: Point) {
        if let Some(context) = self {
            context.yield_at(point);
        }
    }

    fn tell(&self, activity: Activity) {
        if let Some(context) = self {
            context.tell(activity);
        }
    }
}

/// What came of waiting for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited<T> {
    /// One came.
    Message(T),
    /// The channel is closed and empty.
    Closed,
    /// None comes for the time being, and something else may be done.
    Stalled,
}

/// How an actor meets its runtime: where it may be interrupted, and how it waits.
pub trait Context: Interrupt {
    /// What interrupts the runs of its machine.
    fn any(&self) -> AnyInterrupt<'_>
    where
        Self: Sized,
    {
        Some(self)
    }

    /// Waits for a message; `None` once the channel is closed and empty.
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T>;

    /// Waits for a message, and asks now and then, after some time in which none came, whether the
    /// caller has something else to do: others may be suspended by the system. A runtime need not
    /// ask.
    fn recv_unless<T>(&self, channel: &Receiver<T>, is_stalled: impl FnMut() -> bool) -> Waited<T> {
        let _ = is_stalled;
        self.recv(channel).map_or(Waited::Closed, Waited::Message)
    }

    /// Waits for a message from a worker that is probably at work on it, for about as long as it
    /// takes to wake a thread; `None` also if none came by then. The system may have suspended the
    /// sender: the caller then does the work again.
    fn recv_soon<T>(&self, channel: &Receiver<T>) -> Option<T> {
        self.recv(channel)
    }
}
