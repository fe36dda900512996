//! Measurements that only the project makes, on the rounds and figures of [`braid_cli::bench`]: blocks of an attacker,
//! sweeps and searches in virtual time, embedded stores, sustained load, energy, the entries of a node, and what other
//! hardware could take over.

pub mod attacks;
mod bounded;
pub mod contention;
pub mod energy;
pub mod entries;
pub mod offload;
pub(crate) mod rpc;
pub mod search;
#[cfg(any(feature = "redb", braid_rocksdb))]
mod store;
pub mod sustain;

pub use bounded::Bounded;
#[cfg(feature = "redb")]
pub use store::Redb;
#[cfg(braid_rocksdb)]
pub use store::RocksDb;
#[cfg(any(feature = "redb", braid_rocksdb))]
pub use store::{Store, StoreError, StoreFolder, StoredState};
