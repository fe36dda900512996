//! Scripts of operations on a store, and how it must answer: the same operations on an ordered map.
//!
//! Property tests draw scripts from strategies, the fuzzer from bytes.

mod reference;
mod world;

pub use reference::{Amount, Place};

use braid_evm::ids::{TxIndex, Version};
use braid_evm::mv::Entry;
use world::World;

/// What a run of a script is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// Every read finds what walking through the block from its start finds (I6, I11).
    Resolution,
    /// The base value is asked for only while it is unknown, and the first one stays (I5).
    Base,
    /// What an older incarnation does late changes nothing (I7).
    Incarnations,
    /// The hint says yes exactly if every read still resolves to the same version.
    Current,
    /// The verdict says yes exactly if every read still resolves to an equal value (I3).
    Validation,
    /// A change names every reader for which it changes what it saw.
    Hints,
}

impl Property {
    /// Every property.
    pub const ALL: [Self; 6] = [
        Self::Resolution,
        Self::Base,
        Self::Incarnations,
        Self::Current,
        Self::Validation,
        Self::Hints,
    ];
}

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    /// A version publishes an entry. The second entry of a version at one place is left out.
    Publish(Version, Place, Entry<Place>),
    /// A run of deltas by neighbouring transactions, long enough for a checkpoint.
    Credits {
        /// Where.
        place: Place,
        /// The first transaction.
        from: u32,
        /// How many transactions.
        len: u32,
        /// What each adds.
        amount: u8,
    },
    /// A version withdraws what it or an older one left.
    Withdraw(Version, Place),
    /// What a version left becomes an estimate.
    Estimate(Version, Place),
    /// One incarnation that reads these places.
    Run(TxIndex, Vec<Place>),
    /// Many readers of one place, enough for old ones to be forgotten.
    Crowd {
        /// Where.
        place: Place,
        /// The first reader.
        from: u32,
    },
    /// All incarnations so far are checked.
    Check,
    /// The base value arrives before the first question, or a second one after.
    Seed(Place, Amount),
    /// Everything below is final; it never moves back.
    Frontier(TxIndex),
}

/// A number of shards, and what happens.
#[derive(Clone, Debug)]
pub struct Script {
    /// Shards of the store.
    pub shards: usize,
    /// What happens, in order.
    pub ops: Vec<Op>,
}

impl Script {
    /// Runs the script.
    ///
    /// # Errors
    /// How `property` is broken.
    pub fn run(&self, property: Property) -> Result<(), String> {
        World::run(self, property)
    }
}
