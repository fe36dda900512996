//! What several tests need.

mod reference;
mod stores;
mod stream;

pub(crate) use reference::{Reference, contents};
pub(crate) use stores::{Fault, Faulty, Lagging};
pub(crate) use stream::Stream;
