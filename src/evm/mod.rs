//! The Ethereum layer: runs the transactions of a block with revm, on top of the engine.
//!
//! ```text
//!  Block --plan--> Shared<EvmWorkload, EvmLedger> --work on each worker--> outcomes, in order
//!    |                 EvmMachine: revm over EvmView over the store over the base state
//!    |                 EvmBatches: private batches, one journal each
//!    |             SequentialRunner: sequential segments, on the calling thread
//!    +-- system: pre-block calls, post-block calls, withdrawals, rewards, requests
//!    +-- bundle: effects folded by account, in parallel, into revm's BundleState
//! ```
//!
//! The modules, each of which imports only the ones before it: [`fees`] (blind credits), [`bal`]
//! (block access lists), [`exec`] (one run of a transaction), [`plan`] (which strategy runs next),
//! [`block`] (block-level processing: admission, receipts, system calls), [`bundle`] (state
//! changes), [`engine`] (the engine's traits). Every other file here drives a block through these
//! modules and may import all of them.

mod access_list;
mod after;
mod bal;
mod block;
mod block_execution;
mod bundle;
mod bundle_thread;
mod closing;
mod closing_task;
mod drive;
mod engine;
mod exec;
mod fees;
mod finish;
#[cfg(feature = "testing")]
mod observed;
mod plan;
mod prepare;
#[cfg(feature = "alloy")]
mod preview;
mod pull;
mod run_task;
mod segment;
mod sequential_segment;
#[cfg(feature = "testing")]
mod simulate;
#[cfg(feature = "testing")]
mod virtual_time;
mod worker_pool;

pub use alloy_eip7928::bal::Bal as AccessList;
#[cfg(feature = "alloy")]
pub(crate) use bal::apart::StepChecker;
pub use bal::declaration::{Declaration, DeclaredLocation, Undeclared};
pub use bal::mismatch::{Access, AccessListError, AccessListMismatch, AccountField};
#[cfg(feature = "alloy")]
pub(crate) use bal::prepared_list::code_of;
#[cfg(feature = "alloy")]
pub(crate) use block::commit::Codes;
pub use block::committed::Committed;
pub(crate) use block::committed::OnCommit;
pub use block::error::{BlockError, BlockErrorKind, BlockPosition};
pub use block::output::{BlockOutput, Executed, ExecutedStatus, Outcome, Stats};
pub use block::replay::{ReplayError, Replayed};
pub use block::replay_evm::{ReplayBase, ReplayContext};
pub use block::replays::{ReplayedNext, Replays};
#[cfg(feature = "alloy")]
pub(crate) use block::requests::no_code;
pub use block::requests::push_deposits;
pub(crate) use drive::{Options, build, execute};
pub(crate) use exec::any::AnySource;
#[cfg(feature = "alloy")]
pub(crate) use exec::any::AnyState;
pub use exec::base::{Cloned, StateSource};
pub use exec::change::{AccountChange, ChangeKind, SlotChange};
#[cfg(feature = "alloy")]
pub(crate) use exec::custom_evm::{CustomEvm, CustomRun};
pub(crate) use exec::extensions::Extensions;
pub use exec::input::{Block, ChainRules, DaoFork, Ommer};
pub use exec::precompile::{Precompile, PrecompileCall, PrecompileState, StateUnavailable};
pub use exec::rejection::Rejection;
#[cfg(feature = "alloy")]
pub(crate) use exec::stopped::ViewStopped;
pub use fees::surcharge::Surcharge;
#[cfg(feature = "testing")]
pub use observed::ObservedExecutor;
pub use plan::{Reason, Segment, Strategy};
#[cfg(feature = "alloy")]
pub(crate) use preview::runs_sequentially;
pub use pull::{BuiltBlock, TransactionPool};
#[cfg(feature = "testing")]
pub use simulate::{SimulatedBlock, Simulation, evm_simulator, simulate};
#[cfg(feature = "testing")]
pub use virtual_time::{SimulatedExecutor, VirtualRun};
pub(crate) use worker_pool::{LimitedPool, Scoped, ThreadPool};

pub(crate) use crate::worker::CancellationToken;
