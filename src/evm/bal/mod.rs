//! Block access lists (EIP-7928): what each transaction of a block has accessed, with the values
//! that it left.
//!
//! [`recorder`] takes the accesses of a transaction from revm's journal, [`accesses`] holds them,
//! [`outside`] has those of the calls around the transactions, and [`list`] puts all of them
//! together, in block order. Nothing here is made unless a list is asked for.

pub(super) mod accesses;
pub(super) mod list;
pub(super) mod outside;
pub(super) mod recorder;
