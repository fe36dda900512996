//! Block access lists (EIP-7928): the accesses of each transaction of a block, with the values that
//! it wrote.
//!
//! [`recorder`] extracts a transaction's accesses from revm's journal, [`accesses`] stores them,
//! [`step_accesses`] stores the accesses before and after the transactions, and [`list`] builds the list
//! in canonical order. [`prepared_list`] compares accesses with the block's own list, and
//! [`mismatch`] describes a difference. [`declaration`] covers accesses that transactions declare.
//! All of this is idle unless the block has a list, a list is being built, or transactions declare
//! their accesses.

pub(super) mod accesses;
#[cfg(feature = "alloy")]
pub(super) mod apart;
mod changes;
pub(super) mod declaration;
pub(super) mod list;
mod lowest_mismatch;
pub(super) mod mismatch;
pub(super) mod prefetch;
pub(super) mod prepared_list;
pub(super) mod recorder;
pub(super) mod step_accesses;
