//! Braid as a block executor of alloy-evm (feature `alloy`).
//!
//! ```text
//!  execute_block: pre-block calls --> transactions on all workers --> commits --> post-block calls
//!                 EthBlockExecutor    reads: a handle for each        EthBlockExecutor, in order
//!                                     worker, or the calling thread
//!                                     reads for all workers
//! ```
//!
//! [`BraidExecutorFactory`] replaces alloy-evm's `EthBlockExecutorFactory`. Everything but the
//! execution of transactions is still done by alloy-evm's executor: system calls, receipts, gas,
//! requests, rewards, and the commits into the caller's database. So the database, which need be
//! neither `Sync` nor `Clone`, receives the same changes in the same order. From Prague, the end of
//! a block follows the specification where alloy-evm's executor does not: withdrawals are paid
//! before requests are collected, and a block is invalid if a request contract is missing.
//!
//! Only [`execute_block`](alloy_evm::block::BlockExecutor::execute_block) runs in parallel. Calls
//! that execute a single transaction go to the sequential executor; [`Executions`] counts them.
//!
//! With [`with_access_lists`](BraidBlockExecutor::with_access_lists), it builds the block's access
//! list into the database, or compares the list that the database has with the block.
//!
//! [`Block::from_alloy`](crate::Block::from_alloy) and [`transactions`] help callers of
//! [`Executor`](crate::Executor) that hold alloy's blocks and recovered transactions.
//!
//! # Limits
//!
//! - Workers run their own EVMs: either Braid's, which is revm with the rules of the fork and the
//!   factory's precompiles and surcharge, or those of an `EvmFactory`
//!   ([`with_evm_factory`](BraidExecutorFactory::with_evm_factory)), such as
//!   [`PrecompileEvmFactory`]. If precompiles were added to the `Evm` that an executor is created
//!   with, or removed from it, and the factory has no rules of its own, the block runs sequentially
//!   with that `Evm`. A precompile that was *replaced* in it is not noticed.
//! - An inspector sees only transactions that run on the calling thread by alloy-evm's executor.
//! - An `EvmFactory` must have Ethereum's types: `TxEnv`, `BlockEnv`, `SpecId`, `HaltReason`.
//! - It must be known how its EVMs pay fees: see [`Fees`].

mod commits;
mod custom_evm;
mod engine;
mod executor;
mod factory;
mod finish;
mod handles;
mod input;
mod lists;
mod precompiles;
mod runner;
mod served;

pub use custom_evm::Fees;
pub use executor::BraidBlockExecutor;
pub use factory::{BraidExecutorFactory, Executions};
pub use input::transactions;
pub use lists::ListDatabase;
pub use precompiles::PrecompileEvmFactory;
