//! Folds state changes by account into revm's `BundleState`, either while transactions commit or at
//! the end of the block on several workers.

pub(super) mod assembly;
pub(super) mod block_effects;
pub(super) mod bucket;
pub(super) mod builder;
mod fold;
pub(super) mod folded;
pub(super) mod output_builder;
pub(super) mod shares;
pub(super) mod undo;
