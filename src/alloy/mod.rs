//! Braid as a block executor of alloy-evm (feature `alloy`).
//!
//! ```text
//!  execute_block: pre-block calls --> transactions on all workers --> commits --> post-block calls
//!                 EthBlockExecutor    base reads: asked of the         EthBlockExecutor, in order
//!                                     calling thread over a channel
//! ```
//!
//! [`BraidExecutorFactory`] stands where alloy-evm's `EthBlockExecutorFactory` stands. Whatever is
//! not the execution of transactions is that executor's own code: system calls, receipts, gas,
//! requests, rewards, and the commits into the caller's database. So the database, which needs
//! neither `Sync` nor `Clone`, ends up with the same changes in the same order. From Prague on the
//! end of a block follows the specification where that executor does not: withdrawals are paid
//! before requests are collected, and a block is invalid without the contracts for them.
//!
//! [`execute_block`](alloy_evm::block::BlockExecutor::execute_block) is the only entry that runs in
//! parallel. The calls for single transactions are the sequential executor's; [`Executions`] counts
//! them.
//!
//! [`with_access_lists`](BraidBlockExecutor::with_access_lists) makes it build the block's access
//! list into the database, or compare the one that the database has.
//!
//! [`Block::from_alloy`](crate::Block::from_alloy) and [`transactions`] are for callers of
//! [`Executor`](crate::Executor) that hold alloy's blocks and recovered transactions.
//!
//! # Limits
//!
//! - In parallel, the workers run EVMs of their own: Braid's, which is revm with the rules of the
//!   fork and the precompiles and the surcharge of the factory, or those of an `EvmFactory`
//!   ([`with_evm_factory`](BraidExecutorFactory::with_evm_factory)). An inspector, or precompiles
//!   that were put into the one `Evm` that an executor is made with, are not asked there; use the
//!   calls for single transactions with them.
//! - Such a factory has Ethereum's types: `TxEnv`, `BlockEnv`, `SpecId`, `HaltReason`.
//! - How such an EVM pays fees has to be known: see [`Fees`].

mod custom_evm;
mod engine;
mod executor;
mod factory;
mod finish;
mod input;
mod lists;
mod served;

pub use custom_evm::Fees;
pub use executor::BraidBlockExecutor;
pub use factory::{BraidExecutorFactory, Executions};
pub use input::transactions;
pub use lists::ListDatabase;
