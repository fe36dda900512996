//! Exhaustive models of small blocks over the shipped commit protocol.
//!
//! The model owns a real [`Protocol`] and simulates everything around it: an abstract store, the
//! job channel, two or three workers, and the messages between them. It explores every order in
//! which workers may take jobs, read, publish and report, and in which reports may be delivered.
//!
//! It does not model scopes and deltas, which the store's property tests cover; the passing of the
//! lock, which loom covers; or weak memory.
//!
//! A second model has two shards of accounts over the shipped core of `braid-shards`
//! ([`shard_model`]).
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

pub use batches::{BatchResults, Batches, Committed, Group, PrivateRun};
pub use explore::{Exploration, explore};
pub use model::{Action, BlockModel};
pub use scenario::{Kind, Scenario, SequentialResult, Tx, Write};
pub use shards::{ShardActor, ShardModel, ShardOrder, explore_shards, shard_model, shard_orders};
pub use state::{Report, Run, State, Worker};
pub use store::{Entry, Seen, Store};
pub use suites::{Suite, full_suites, long_suites, suites};

/// Number of locations in a model.
pub const LOCATIONS: usize = 3;
/// Maximum number of transactions in a block.
pub const MOST_TRANSACTIONS: usize = 4;
