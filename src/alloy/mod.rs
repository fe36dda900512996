//! Braid as a block executor of alloy-evm (feature `alloy`).
//!
//! ```text
//!  execute_block: pre-block calls --> transactions on all workers --> commits --> post-block calls
//!                 EthBlockExecutor    reads: a handle for each        EthBlockExecutor, in order
//!                                     worker, or the calling thread
//!                                     reads for all workers
//! ```
//!
//! [`BraidExecutorFactory`] replaces alloy-evm's `EthBlockExecutorFactory`. alloy-evm's executor
//! still does everything except the execution of transactions: system calls, receipts, gas,
//! requests, rewards, and the commits to the caller's database. So the database, which need not be
//! `Sync` or `Clone`, receives the same changes in the same order. From Prague, the end of a block
//! follows the specification where alloy-evm's executor does not: withdrawals are paid before
//! requests are collected, and a block is invalid if a request contract is missing.
//!
//! Only [`execute_block`](alloy_evm::block::BlockExecutor::execute_block) runs in parallel. Calls
//! that execute a single transaction go to the sequential executor; [`Executions`] counts them.
//!
//! With [`with_access_lists`](BraidBlockExecutor::with_access_lists), the executor builds the
//! block's access list into the database, or compares the database's list with the block.
//!
//! [`Block::from_alloy`](crate::Block::from_alloy) and [`transactions`] help callers of
//! [`Executor`](crate::Executor) that hold alloy's blocks and recovered transactions.
//!
//! # Limits
//!
//! - Workers run their own EVMs: either Braid's, which is revm with the rules of the fork and the
//!   factory's precompiles and surcharge, or those of an `EvmFactory`
//!   ([`with_evm_factory`](BraidExecutorFactory::with_evm_factory)), such as
//!   [`PrecompileEvmFactory`]. If the `Evm` of an executor has additional or missing precompiles,
//!   and the factory has no rules of its own, the block runs sequentially with that `Evm`. A
//!   *replaced* precompile is not detected.
//! - An inspector sees only transactions that alloy-evm's executor runs on the calling thread.
//! - An `EvmFactory` must have Ethereum's types: `TxEnv`, `BlockEnv`, `SpecId`, `HaltReason`.
//! - The caller must know how the EVMs of an `EvmFactory` pay fees: see [`Fees`].

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
