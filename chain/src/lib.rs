//! Executes EVM blocks one after the other, on a state that an embedded store keeps.
//!
//! A [`StateStore`] keeps bytes; [`StateReader`] reads Ethereum's state from it, as a revm
//! [`DatabaseRef`](revm::DatabaseRef); [`DurableBatch`] is what one block changes, written as one
//! transaction of the store. A block is durable once the store's head names it.
//!
//! # Map
//!
//! | | |
//! |---|---|
//! | [`StateStore`], [`MemoryStore`], [`EmbeddedStore`] | where the bytes are |
//! | [`StateReader`], [`Head`], [`Undo`] | what is read |
//! | [`DurableBatch`], [`commit`], [`create`] | what is written |
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod batch;
mod commit;
mod error;
mod reader;
mod record;
mod store;

pub use batch::{AccountChange, DurableBatch, SlotChange};
pub use commit::{Keep, commit, create};
pub use error::StoreError;
pub use reader::{StateReader, open};
pub use record::{AccountRecord, Head, SCHEMA, Undo};
pub use store::{
    CACHE_BYTES, EmbeddedSnapshot, EmbeddedStore, Entry, MemorySnapshot, MemoryStore, Snapshot,
    StateStore, Table, Write, Writes,
};
