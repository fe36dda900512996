//! Braid executes the transactions of an EVM block on several cores and returns the result of
//! sequential execution: outcomes, gas, logs, receipts, requests, and the state changes with their
//! reverts. The result is the same for any number of workers and any schedule, and every block
//! terminates.
//!
//! ```
//! # #[cfg(feature = "evm")] {
//! use braid_evm::{Block, ChainRules, Config, Executor};
//! use revm::context::TxEnv;
//! use revm::database::{CacheDB, EmptyDB};
//! use revm::primitives::{Address, U256};
//! use revm::state::AccountInfo;
//!
//! let alice = Address::repeat_byte(0xa1);
//! let bob = Address::repeat_byte(0xb0);
//! let mut state = CacheDB::new(EmptyDB::new()); // any `DatabaseRef`
//! state.insert_account_info(alice, AccountInfo::from_balance(U256::from(10)));
//! let pay = |nonce| {
//!     let builder = TxEnv::builder().caller(alice).to(bob).nonce(nonce);
//!     builder.value(U256::from(3)).gas_limit(21_000).build_fill()
//! };
//! let transactions = vec![pay(0), pay(1)];
//! // This state has no system contracts.
//! let rules = ChainRules { system_calls: false, ..ChainRules::default() };
//! let block = Block { transactions, rules, ..Block::default() };
//! let mut executor = Executor::new(Config::default()).unwrap(); // its threads outlive the block
//! let output = executor.block(block).database(state).execute().unwrap();
//! assert_eq!((output.receipts.len(), output.gas_used), (2, 42_000));
//! # }
//! ```
//!
//! # Map
//!
//! | | |
//! |---|---|
//! | [`Executor`], [`Block`], [`BlockOutput`], [`BlockError`] | execute, stream or build a block |
//! | `AsyncExecutor` | the executor for asynchronous callers (feature `tokio`) |
//! | [`Config`], [`Policy`] | configuration; only a few settings change results |
//! | [`StateSource`], [`Precompile`], [`Surcharge`], [`TransactionPool`] | traits to implement |
//!
//! # Stability
//!
//! The items in this table follow Semantic Versioning. `Block` and `ChainRules` gain fields over
//! time: write `..Block::default()`. The engine, that is the modules `protocol` (the commit
//! protocol), `mv` (the multi-version store), `worker`, `runtime`, `schedule` and `trace`, is
//! documented with the feature `engine`. It serves tests, models and machines other than the EVM,
//! builds without revm, and may change in any release. So may the items added by the features
//! `testing`, `mutants` and `trace`, which exist for this project's own tests.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::disallowed_methods
    )
)]

// First, because its macro is used below.
#[macro_use]
#[doc(hidden)]
pub mod mutants;

#[cfg(feature = "alloy")]
pub mod alloy;
mod config;
#[cfg_attr(not(feature = "engine"), doc(hidden))]
pub mod error;
#[cfg(feature = "evm")]
mod evm;
#[cfg(feature = "evm")]
mod executor;
#[cfg_attr(not(feature = "engine"), doc(hidden))]
pub mod ids;
#[cfg_attr(not(feature = "engine"), doc(hidden))]
pub mod mv;
pub(crate) mod panics;
#[cfg_attr(not(feature = "engine"), doc(hidden))]
pub mod protocol;
#[cfg_attr(not(feature = "engine"), doc(hidden))]
pub mod runtime;
#[cfg_attr(not(feature = "engine"), doc(hidden))]
pub mod schedule;
pub(crate) mod spans;
pub(crate) mod sync;
#[cfg_attr(not(feature = "evm"), allow(dead_code, reason = "most are used by the Ethereum layer"))]
pub(crate) mod thresholds;
#[cfg_attr(not(feature = "engine"), doc(hidden))]
pub mod trace;
#[cfg_attr(not(feature = "engine"), doc(hidden))]
pub mod worker;

pub use config::{Config, ConfigBuilder, ConfigError, Policy};
#[cfg(feature = "testing")]
pub use config::{EngineConfig, Forced, Mode};
#[doc(inline)]
pub use error::Invariant;
#[cfg(feature = "evm")]
pub use evm::{
    Access, AccessList, AccessListError, AccessListMismatch, AccountChange, AccountField, Block,
    BlockError, BlockErrorKind, BlockOutput, BlockPosition, BuiltBlock, ChainRules, ChangeKind,
    Cloned, Committed, DaoFork, Declaration, DeclaredLocation, Executed, ExecutedStatus, Ommer,
    Outcome, Precompile, PrecompileCall, PrecompileState, Reason, Rejection, ReplayBase,
    ReplayContext, ReplayError, Replayed, ReplayedNext, Replays, Segment, SlotChange, StateSource,
    StateUnavailable, Stats, Strategy, Surcharge, TransactionPool, Undeclared, push_deposits,
};
#[cfg(all(feature = "evm", feature = "testing"))]
pub use evm::{
    ObservedExecutor, SimulatedBlock, SimulatedExecutor, Simulation, VirtualRun, evm_simulator,
    simulate,
};
#[cfg(feature = "tokio")]
pub use executor::{AsyncExecutor, AsyncRequest};
#[cfg(feature = "evm")]
pub use executor::{BlockRequest, Executor, NoState, execute_scoped};
#[doc(inline)]
pub use ids::{TxIndex, WorkerId};
#[doc(inline)]
pub use worker::CancellationToken;
