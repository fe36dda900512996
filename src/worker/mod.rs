//! Workers that run transactions, and the coordinator lock that they share.
//!
//! A worker takes a job from a bounded channel, runs its transactions against a [`View`] of the
//! store, publishes each write set completely, and only then sends its report. Then it tries to
//! take the coordinator lock. The worker that holds the lock applies reports to the protocol and
//! performs the protocol's commands. After releasing the lock it checks for reports again, so that
//! none is missed.
//!
//! No thread is dedicated to coordination, and no worker spins on the lock or waits for it.

mod actor;
mod batch;
mod batches;
mod cancel;
mod claims;
mod commit;
mod coordinate;
mod coordinator;
#[cfg(feature = "mutants")]
mod delayed;
mod events;
mod help;
#[cfg(all(test, braid_loom))]
mod loom_batches;
#[cfg(all(test, braid_loom))]
mod loom_hasty;
#[cfg(all(test, braid_loom))]
mod loom_list;
#[cfg(all(test, braid_loom))]
mod loom_machine;
#[cfg(all(test, braid_loom))]
mod loom_tests;
mod machine;
mod message;
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
    Base, BatchMachine, BatchStart, Effects, Ledger, LedgerOf, Machine, RanBatch, Workload,
};
pub use shared::{BlockEnd, Setup, Shared};
pub use stop::{NoResult, Stop, Stopped};
pub use view::View;

use crate::ids::{Chunk, TxIndex};
use crate::sync::Receiver;

/// Points where an actor may be interrupted. They are the choice points of the simulator, each with
/// a cost.
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
    /// Reads are compared before publication.
    Check,
    /// A message is sent or received.
    Message,
    /// A job was reported, and the next job has not begun.
    Between,
    /// The coordinator lock is taken or released.
    Coordinator,
    /// The frontier is validated.
    Validate,
    /// An outcome is committed.
    Commit,
    /// State changes are folded into the bundle, or receipts are built.
    Fold,
}

/// An activity that an actor reports to its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// The actor begins a private batch or a part of a sequential segment, whose transactions run
    /// one after the other.
    Batch(Chunk),
    /// The actor begins to run a transaction. The run lasts until the actor is interrupted outside
    /// a read.
    Run(TxIndex),
    /// The last run of the transaction ended without a result, because it has to wait for another
    /// transaction or for the frontier.
    Blocked(TxIndex),
    /// The actor may have changed a value that another actor's run of this transaction has read; if
    /// it has, the run ends.
    Overtook(TxIndex),
    /// The last run of the transaction ended because a value that it had read has changed.
    Overtaken(TxIndex),
    /// These transactions were committed.
    Committed(Chunk),
}

/// Interruption points of an actor.
pub trait Interrupt {
    /// Allows the runtime to interrupt the actor.
    fn yield_at(&self, point: Point);

    /// Reports the actor's activity. Threads ignore it.
    fn report(&self, activity: Activity) {
        let _ = activity;
    }
}

impl<I: Interrupt> Interrupt for &I {
    fn yield_at(&self, point: Point) {
        (**self).yield_at(point);
    }

    fn report(&self, activity: Activity) {
        (**self).report(activity);
    }
}

/// Interruption points as a trait object, for machines that are compiled once; `None` if nothing
/// interrupts their runs.
pub type AnyInterrupt<'a> = Option<&'a dyn Interrupt>;

impl Interrupt for AnyInterrupt<'_> {
    fn yield_at(&self, point: Point) {
        if let Some(context) = self {
            context.yield_at(point);
        }
    }

    fn report(&self, activity: Activity) {
        if let Some(context) = self {
            context.report(activity);
        }
    }
}

/// Result of waiting for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited<T> {
    /// A message arrived.
    Message(T),
    /// The channel is closed and empty.
    Closed,
    /// No message arrived for a while, and the caller may help another worker.
    Stalled,
}

/// The runtime of an actor: its interruption points, and how it waits.
pub trait Context: Interrupt {
    /// Returns the interruption points for the actor's machine.
    fn any(&self) -> AnyInterrupt<'_>
    where
        Self: Sized,
    {
        Some(self)
    }

    /// Waits for a message. Returns `None` once the channel is closed and empty.
    fn recv<T>(&self, channel: &Receiver<T>) -> Option<T>;

    /// Waits for a message. Calls `is_stalled` from time to time while none arrives, and returns
    /// early if it returns true, which means that another worker may be preempted. A runtime need
    /// not call it.
    fn recv_unless<T>(&self, channel: &Receiver<T>, is_stalled: impl FnMut() -> bool) -> Waited<T> {
        let _ = is_stalled;
        self.recv(channel).map_or(Waited::Closed, Waited::Message)
    }

    /// Waits for a message that a worker is probably about to send, for about as long as it takes
    /// to wake a thread. Returns `None` also if no message arrived by then: the sender may be
    /// preempted, and the caller does the work itself.
    fn recv_soon<T>(&self, channel: &Receiver<T>) -> Option<T> {
        self.recv(channel)
    }
}
