//! State changes folded by account into revm's `BundleState`: while transactions commit, or at the
//! end of the block by several workers.

pub(super) mod assembly;
pub(super) mod block_effects;
pub(super) mod bucket;
mod fold;
pub(super) mod folded;
pub(super) mod growing;
pub(super) mod growing_bundle;
pub(super) mod shares;
pub(super) mod undo;
