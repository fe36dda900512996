//! Exhaustive models of small blocks over the commit protocol as it ships.
//!
//! The model owns a real [`Protocol`] and plays everything around it: an abstract store, the job
//! channel, two or three workers and the messages between them. It knows every order in which workers may
//! take jobs, read, publish and report, and in which reports may be delivered.
//!
//! What it leaves out: scopes and deltas (the store's property tests), the passing of the lock
//! (loom), and weak memory.
//!
//! Beside it: two shards of accounts, over the core of `braid-shards` as it is ([`shard_model`]).
//!
//! [`Protocol`]: braid_evm::protocol::Protocol

mod batches;
pub mod conformance;
mod explore;
mod model;
mod owner;
mod private;
mod private_suites;
mod properties;
mod scenario;
mod shards;
mod state;
mod store;
mod suites;
mod workers;

pub use batches::{Batches, Carry, Committed, Group, PrivateRun, Ran};
pub use explore::{Explored, explore};
pub use model::{Action, BlockModel};
pub use scenario::{Kind, Scenario, Serial, Tx, Write};
pub use shards::{ShardActor, ShardModel, ShardOrder, explore_shards, shard_model, shard_orders};
pub use state::{Report, Run, State, Worker};
pub use store::{Entry, Seen, Store};
pub use suites::{Suite, full_suites, long_suites, suites};

/// Locations of a model.
pub const LOCATIONS: usize = 3;
/// Most transactions of a block.
pub const MOST_TRANSACTIONS: usize = 4;
