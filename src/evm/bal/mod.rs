//! Block access lists (EIP-7928): what each transaction of a block has accessed, with the values
//! that it left.
//!
//! [`recorder`] takes the accesses of a transaction from revm's journal, [`accesses`] holds them,
//! [`outside`] has those of the calls around the transactions, and [`list`] puts all of them
//! together, in block order. [`claims`] compares them with a list that the block comes with, and
//! [`mismatch`] says where they differ. [`declaration`] is what a transaction declares of them.
//! Nothing here is made unless there is a list, or one is asked for, or declarations count.

pub(super) mod accesses;
pub(super) mod ahead;
#[cfg(feature = "alloy")]
pub(super) mod apart;
mod changes;
pub(super) mod claims;
pub(super) mod declaration;
mod first_wrong;
pub(super) mod list;
pub(super) mod mismatch;
pub(super) mod outside;
pub(super) mod recorder;
