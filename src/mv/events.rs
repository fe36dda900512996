//! What the store does, for those who replay a block: see [`Log`](crate::trace::Log).

use super::chain::{Floor, Found};
use super::location::{Entry, Location};
use super::resolve::Trace;
use crate::ids::{TxIndex, Version};
use crate::trace::Ticket;

/// Where something was done, and under which stamp: both under one lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct At {
    /// The shard, whose lock orders all that is done there.
    pub shard: u32,
    /// The chain in the shard.
    pub chain: u32,
    /// Stamp of the last publication into the shard, this one included.
    pub stamp: u64,
}

impl From<Trace> for At {
    fn from(trace: Trace) -> Self {
        let Trace { chain, stamp } = trace;
        Self { shard: chain.shard, chain: chain.index, stamp: stamp.number() }
    }
}

/// How an entry changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<L: Location> {
    /// It was published.
    Put(Entry<L>),
    /// It was removed.
    Remove,
    /// It became an estimate.
    Estimate,
}

/// One thing that the store did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent<L: Location> {
    /// A base value was handed in; the first one stays.
    Base {
        /// Of what.
        location: L,
        /// The value.
        value: L::Value,
    },
    /// A reader looked where the life of a scope began.
    Life {
        /// The reader.
        reader: TxIndex,
        /// The scope.
        scope: L,
        /// Where and when.
        at: At,
        /// What it found.
        floor: Floor,
    },
    /// A reader looked at a location.
    Look {
        /// The reader.
        reader: TxIndex,
        /// The location.
        location: L,
        /// Where and when.
        at: At,
        /// Before anything was done for this look.
        began: Ticket,
        /// The look at the scope that belongs to it. None: it has no scope, or no scope was used.
        life: Option<Ticket>,
        /// What it found.
        found: Found<L>,
    },
    /// A reader is to wait for a transaction that runs and will probably write here.
    Predicted {
        /// The reader.
        reader: TxIndex,
        /// The location.
        location: L,
        /// Before anything was done for this look.
        began: Ticket,
        /// The look at the scope before, if there was one.
        life: Option<Ticket>,
        /// Whom it waits for.
        on: TxIndex,
    },
    /// An entry changed, or was to change.
    Changed {
        /// By whom.
        version: Version,
        /// Where.
        location: L,
        /// How.
        change: Change<L>,
        /// Where and when.
        at: At,
        /// Whether anything changed.
        took: bool,
        /// The readers that were named.
        stale: Vec<TxIndex>,
    },
    /// Everything below is final from now on.
    Frontier(TxIndex),
    /// The reads of a transaction are compared.
    CheckBegan {
        /// The transaction.
        reader: TxIndex,
        /// By value too: at the frontier, where it counts.
        by_value: bool,
    },
    /// They were compared.
    CheckEnded {
        /// The transaction.
        reader: TxIndex,
        /// Whether all of them hold.
        holds: bool,
    },
}
