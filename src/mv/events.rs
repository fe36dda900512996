//! Events of the store, for replays: see [`Log`](crate::trace::Log).

use super::chain::{Floor, Found};
use super::location::{Entry, Location};
use super::resolve::Trace;
use crate::ids::{TxIndex, Version};
use crate::trace::Ticket;

/// Shard, chain and stamp of an event, all read under one lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventStamp {
    /// The shard, whose lock orders all events in it.
    pub shard: u32,
    /// The chain in the shard.
    pub chain: u32,
    /// Stamp of the last publication into the shard, this one included.
    pub stamp: u64,
}

impl From<Trace> for EventStamp {
    fn from(trace: Trace) -> Self {
        let Trace { chain, stamp } = trace;
        Self { shard: chain.shard, chain: chain.index, stamp: stamp.number() }
    }
}

/// Change of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<L: Location> {
    /// The entry was published.
    Put(Entry<L>),
    /// The entry was removed.
    Remove,
    /// The entry became an estimate.
    Estimate,
}

/// An event of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent<L: Location> {
    /// A base value was supplied; the first one is kept.
    Base {
        /// The location.
        location: L,
        /// The value.
        value: L::Value,
    },
    /// A reader looked up where the life of the locations in a scope began.
    Life {
        /// The reader.
        reader: TxIndex,
        /// The scope.
        scope: L,
        /// Shard, chain and stamp.
        at: EventStamp,
        /// The point where the life began.
        floor: Floor,
    },
    /// A reader looked up a location.
    Look {
        /// The reader.
        reader: TxIndex,
        /// The location.
        location: L,
        /// Shard, chain and stamp.
        at: EventStamp,
        /// Ticket from before the lookup.
        began: Ticket,
        /// Ticket of the lookup in the scope. `None` if the location has no scope, or no scope was
        /// used.
        life: Option<Ticket>,
        /// Result of the lookup.
        found: Found<L>,
    },
    /// A reader has to wait for a running transaction that will probably write the location.
    Predicted {
        /// The reader.
        reader: TxIndex,
        /// The location.
        location: L,
        /// Ticket from before the lookup.
        began: Ticket,
        /// Ticket of the preceding lookup in the scope, if there was one.
        life: Option<Ticket>,
        /// The transaction that the reader waits for.
        on: TxIndex,
    },
    /// An entry changed, or an attempt to change it had no effect.
    Changed {
        /// The incarnation that changed the entry.
        version: Version,
        /// The location.
        location: L,
        /// The change.
        change: Change<L>,
        /// Shard, chain and stamp.
        at: EventStamp,
        /// Whether the change took effect.
        took: bool,
        /// The readers named as possibly stale.
        stale: Vec<TxIndex>,
    },
    /// The frontier moved: everything below this index is now final.
    Frontier(TxIndex),
    /// A check of a transaction's reads began.
    CheckBegan {
        /// The transaction.
        reader: TxIndex,
        /// Whether equal values are accepted: true at the frontier, where the verdict is binding.
        by_value: bool,
    },
    /// A check of a transaction's reads ended.
    CheckEnded {
        /// The transaction.
        reader: TxIndex,
        /// Whether all reads are still valid.
        holds: bool,
    },
}
