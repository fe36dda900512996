//! Braid executes the transactions of an EVM block on many cores and returns exactly what
//! executing them one by one would return.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod config;
pub mod error;
#[cfg(feature = "evm")]
mod evm;
#[cfg(feature = "evm")]
mod executor;
pub mod ids;
pub mod mv;
pub mod protocol;
pub mod runtime;
pub mod schedule;
pub(crate) mod sync;
#[cfg(any(test, feature = "sim"))]
pub mod toy;
pub mod worker;

pub use config::{Config, Mode};
pub use error::Invariant;
#[cfg(feature = "evm")]
pub use evm::{
    AccountChange, At, Block, BlockError, BlockErrorKind, BlockOutput, BuiltBlock, ChainRules,
    ChangeKind, Cloned, Committed, DaoFork, Executed, ExecutedStatus, Ommer, Outcome, Precompile,
    PrecompileCall, PrecompileEnd, PrecompileState, Rejection, SlotChange, StateSource,
    StateUnavailable, Stats, TransactionPool,
};
#[cfg(feature = "evm")]
pub use executor::{Executor, execute_scoped};
pub use ids::TxIndex;
pub use protocol::Policy;
