//! Shards of accounts that execute one agreed order of transactions, each on its own accounts, over a network that
//! delays, loses, doubles and reorders messages and under restarts: a simulation, not a cluster.
//!
//! The order is agreed before anything runs, as in Calvin. Which shards take part in a transaction follows from its
//! declared accesses; each shard that may write runs it, on values that the others send unasked; what it writes at
//! its own keys is kept. There is no second phase: nothing can be refused any more.
//!
//! ```text
//!  Entry ... --> Agreed --> Shard, Shard, ... <--> simulated network
//!     |                          |
//!     '--> reference             '--> outcomes, state: compared with the reference
//! ```
//!
//! The core (`machine`, `order`, `durable`, `shard`) knows neither a machine nor a network. `docs/SHARDS.md` states the
//! invariants; `braid-models` explores them for two shards over this same core.

mod durable;
#[cfg(feature = "evm")]
pub mod evm;
mod figures;
mod machine;
#[cfg(feature = "mutants")]
mod mutants;
mod network;
mod order;
mod placement;
mod reference;
mod shard;
mod simulate;
pub mod toy;

pub use durable::Durable;
pub use figures::Figures;
pub use machine::{Machine, Outcome, Ran, Undeclared, Values, Write, Writes};
#[cfg(feature = "mutants")]
pub use mutants::ShardMutant;
pub use network::{Options, ROUND};
pub use order::{Agreed, Entry, Roles, ShardId};
pub use placement::Placement;
pub use reference::{Reference, reference};
pub use shard::{Event, EventOf, Message, MessageOf, Messages, Shard};
#[cfg(feature = "mutants")]
pub use simulate::simulate_mutant;
pub use simulate::{Simulated, SimulationError, Traffic, simulate};
