//! State changes folded by account into revm's `BundleState`: while transactions commit, or at the
//! end of the block by several workers.

pub(super) mod assembly;
pub(super) mod bucket;
mod fold;
mod folded;
pub(super) mod growing;
pub(super) mod shares;
pub(super) mod undo;
