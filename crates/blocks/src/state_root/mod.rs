//! State roots after a block, of a whole state or of a trie that is known only by the nodes of a
//! witness.
//!
//! The state after a block is the one before it with the block's bundle applied. [`PlainState`]
//! holds every account, as in test suites. [`Witness`] holds some nodes of the tries before the
//! block, enough to reach every location that the block changed. A root that cannot be computed
//! from them is reported as [`PartialRootError::NotCheckable`].

mod full;
mod partial;
mod witness;

pub use full::{PlainAccount, PlainState};
pub use partial::{PartialRootError, Witness};
pub use witness::{WitnessError, path_beside};

#[cfg(test)]
mod tests;
