//! Executes EVM blocks one after the other on a state kept in an embedded store.
//!
//! A [`StateStore`] stores bytes; a [`StateReader`] reads Ethereum's state from it, as a revm
//! [`DatabaseRef`](revm::DatabaseRef). A [`DurableBatch`] holds the changes of one block and is
//! written in one transaction of the store. A block is durable once the store's head names it.
//! [`Chain`] executes a block while the blocks before it are being written.
//!
//! ```
//! use braid_chain::{
//!     Chain, ChainBlock, ChainConfig, DurableBatch, Head, MemoryStore, StateRoots, create,
//! };
//! use braid_evm::{Block, ChainRules};
//! use revm::{context::BlockEnv, primitives::{B256, U256}};
//!
//! let store = MemoryStore::new(); // or `EmbeddedStore`, in a folder
//! create(&store, b"{}", &DurableBatch::default(), StateRoots::Computed)?;
//! let mut chain = Chain::open(store.clone(), ChainConfig::default())?;
//! let env = BlockEnv { number: U256::from(1), ..BlockEnv::default() };
//! // This chain has no system contracts.
//! let rules = ChainRules { system_calls: false, ..ChainRules::default() };
//! let block = Block { env, rules, ..Block::default() };
//! let hash = B256::repeat_byte(1);
//! chain.execute(ChainBlock { block, hash, ..ChainBlock::default() })?;
//! assert_eq!(chain.flush()?, Head { number: 1, hash });
//! # Ok::<(), braid_chain::ChainError>(())
//! ```
//!
//! # Map
//!
//! | | |
//! |---|---|
//! | [`Chain`], [`ChainBlock`], [`ChainError`], [`DurableHead`] | what a node uses |
//! | [`ChainFolder`] | a folder that one process at a time uses |
//! | [`genesis`], [`rlp`], [`Rules`] | geth's genesis file, its exported blocks, and its forks |
//! | [`StateStore`], [`MemoryStore`], [`EmbeddedStore`] | where the bytes are (`RocksStore` with `--cfg braid_rocksdb`) |
//! | [`StateReader`], [`Head`], [`FirstBlock`], [`Undo`], [`digest`], [`verify`], [`export`], [`StateTries`] | what is read |
//! | [`pool`] | transactions that wait for a block |
//! | [`DurableBatch`], [`commit`], [`create`], [`unwind`], [`prune`], [`AccountEdit`] | what is written |
//!
//! # Stability
//!
//! The items in the table above follow Semantic Versioning. They expose types of `braid-evm`, revm
//! and alloy, so a new major version of one of those crates is a new major version of this crate.
//! There is one exception: any release may add fields to [`ChainBlock`] and [`DurableBatch`], so
//! write `..ChainBlock::default()`. A store of [`SCHEMA`] or of the version before it can be
//! opened; the blocks of an older one must be executed again from the genesis.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

// First, because its macro is used below.
#[macro_use]
#[doc(hidden)]
pub mod mutants;

mod ahead;
mod archive;
mod batch;
mod block_index;
mod chain;
mod commit;
mod copy;
mod digest;
mod edit;
mod error;
mod expected;
mod export;
mod folder;
pub mod genesis;
mod layers;
mod past;
mod pipeline;
pub mod pool;
mod prune;
mod reader;
mod record;
pub mod rlp;
mod rules;
mod store;
mod trie;
mod tries;
mod unwind;
mod verify;
mod writer;

pub use batch::{AccountChange, DurableBatch, SlotChange};
pub use block_index::TransactionPosition;
pub use chain::{Built, Chain, ChainBlock, ChainConfig, Executed, Sealed};
pub use commit::{Keep, NODE_CACHE_BYTES, NODE_FLUSH_BYTES, StateRoots, commit, create};
pub use copy::copy;
pub use digest::{Digest, digest};
pub use edit::{AccountEdit, Edited};
pub use error::{ChainError, StoreError};
pub use expected::Expected;
pub use export::{ExportError, Exported, ExportedBlocks, export, export_blocks};
pub use folder::{ChainFolder, FolderError};
pub use layers::LayeredState;
pub use past::PastState;
pub use prune::{Pruned, prune};
pub use reader::{StateReader, open};
pub use record::{AccountRecord, FirstBlock, Head, SCHEMA, Undo};
pub use rules::{DECLARED_ACCESSES, FIXED_BASE_FEE, Rules, ZERO_BASE_FEE};
pub use store::{
    CACHE_BYTES, EmbeddedSnapshot, EmbeddedStore, Entry, MemorySnapshot, MemoryStore, Snapshot,
    StateStore, TABLE_BYTES, Table, Write, Writes,
};
#[cfg(braid_rocksdb)]
pub use store::{RocksSnapshot, RocksStore};
pub use trie::CacheUse;
pub use tries::{AccountProof, SlotProof, StateTries};
pub use unwind::unwind;
pub use verify::{Verified, verify};
pub use writer::{DurableHead, ExecutedBlock, WRITER_THREAD};
