//! Shards of accounts that execute one agreed order of transactions, each on its own accounts, over
//! a network that delays, loses, duplicates and reorders messages, with restarts: a simulation, not
//! a cluster.
//!
//! The order is agreed on before anything runs, as in Calvin. The declared accesses of a
//! transaction determine the shards that take part. Each shard that may write runs the transaction,
//! on values that the other shards push to it, and keeps the writes to its own keys. There is no
//! second phase, because no transaction can be rejected any more.
//!
//! ```text
//!  Entry ... --> Agreed --> Shard, Shard, ... <--> simulated network
//!     |                          |
//!     '--> reference             '--> outcomes, state: compared with the reference
//! ```
//!
//! The core (`machine`, `order`, `durable`, `shard`) depends on no particular machine and no
//! network. `docs/SHARDS.md` states the invariants; `braid-models` explores them for two shards
//! with this same core.

// First, because its macro is used below.
#[macro_use]
pub mod mutants;

mod durable;
#[cfg(feature = "evm")]
pub mod evm;
mod figures;
mod machine;
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
pub use network::{Options, ROUND};
pub use order::{Agreed, Entry, Roles, ShardId};
pub use placement::Placement;
pub use reference::{Reference, reference};
pub use shard::{Event, EventOf, Message, MessageOf, Messages, Shard};
pub use simulate::{Simulated, SimulationError, Traffic, simulate};
