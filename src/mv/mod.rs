//! The multi-version store: the writes of all transactions, in which each reader finds the newest
//! entry below its own index.
//!
//! ```text
//!  Store -> shards, each under one versioned lock -> a version chain per location -> entries
//! ```
//!
//! The store enforces these rules:
//!
//! - One resolver (`Chain::find`) serves reads and validation (I6).
//! - A read that finds no chain inserts an empty one, so that a later publication is noticed.
//! - A value and its stamp are read under one lock.
//! - An older incarnation never overwrites or removes what a newer one published (I7).
//! - A stamp is never reused within a block: each publication into a shard draws the next one.
//! - A balance read folds every delta since the last absolute value or tombstone (I11).
//! - A scoped location (a storage slot) resolves together with its scope (the life of its
//!   account): the newer wins, and at one version the tombstone lies below the writes.

mod access;
mod beats;
mod chain;
mod check;
mod conflicts;
mod events;
mod exact;
mod latest;
mod location;
mod look;
#[cfg(all(test, braid_loom))]
mod loom_tests;
mod newest;
mod place;
mod resolve;
mod running;
mod sets;
mod shard;
mod store;
mod versioned_lock;

pub use access::{AccessLog, Mark};
pub use beats::Beat;
pub use chain::{Floor, Found};
pub use conflicts::ConflictIndex;
pub use events::{Change, EventStamp, StoreEvent};
pub use exact::{ExactGroup, ExactLog, ExactReads};
pub use latest::Latest;
pub use location::{Entry, Location};
pub use place::{ChainId, LocationHash};
pub use resolve::{Origin, Resolution, Resolved, ScopeTrace, Trace};
pub use sets::{ReadRecord, ReadSet};
pub use store::Store;
pub use versioned_lock::Stamp;
