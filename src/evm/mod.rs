//! The Ethereum layer: runs the transactions of a block with revm on top of the engine.
//!
//! ```text
//!  Block --plan--> Shared<EvmWorkload, EvmLedger> --work on each worker--> outcomes, in order
//!    |                 EvmMachine: revm over EvmView over the store over the base state
//!    |       or alone: one after the other over one journal, without versions
//!    +-- system: pre-block calls, post-block calls, withdrawals, rewards, requests
//!    +-- bundle: effects folded by account, in parallel, into revm's BundleState
//! ```
//!
//! Whatever the EVM sees of the state passes through [`view`], which records it; whatever it
//! leaves passes through `effects`, which turns it into a write set.

mod alone;
mod aside;
mod assembly;
mod balances;
mod base;
mod batches;
mod block;
mod bundle;
mod change;
mod closing;
mod crew;
mod effects;
mod error;
mod experience;
mod extensions;
mod finish;
mod fold;
mod folded;
mod follower;
#[cfg(feature = "alloy")]
mod foreign;
mod growing;
mod handler;
mod journal;
mod keccak;

mod lanes;
mod ledger;
mod location;
mod longest;
mod machine;
mod mutants;
mod opcodes;
mod output;
mod parts;
mod plan;
mod precompile;
#[cfg(feature = "sim")]
mod profile;
mod pull;
mod receipts;
mod requests;
mod rounds;
mod run;
mod runner;
mod session;
mod shares;
#[cfg(feature = "sim")]
mod simulate;
mod surcharge;
mod system;
mod traffic;
mod trials;
mod undo;
mod view;
#[cfg(feature = "sim")]
mod virtual_time;
mod window;
mod workload;

pub use base::{Cloned, StateSource};
pub use block::{Block, ChainRules, DaoFork, Ommer};
pub use change::{AccountChange, ChangeKind, SlotChange};
pub(crate) use crew::{Scoped, Team};
pub use error::{At, BlockError, BlockErrorKind, Rejection};
pub(crate) use extensions::Extensions;
#[cfg(feature = "alloy")]
pub(crate) use foreign::{ForeignEvm, ForeignRun};
pub use ledger::Committed;
pub use mutants::EvmMutant;
pub use output::{BlockOutput, Executed, ExecutedStatus, Outcome, Stats};
pub use precompile::{
    Precompile, PrecompileCall, PrecompileEnd, PrecompileState, StateUnavailable,
};
#[cfg(feature = "sim")]
pub use profile::{Observer, Stage, observe};
pub use pull::{BuiltBlock, TransactionPool};
pub(crate) use run::{Options, build, execute};
#[cfg(feature = "sim")]
pub use simulate::{SimulatedBlock, Simulation, evm_simulator, simulate};
pub use surcharge::Surcharge;
#[cfg(feature = "alloy")]
pub(crate) use view::ViewStopped;
#[cfg(feature = "sim")]
pub use virtual_time::{SimulatedExecutor, VirtualRun};
