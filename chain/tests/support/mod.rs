//! What several tests need.

mod folder;
mod reference;
mod stores;
mod stream;

pub(crate) use folder::{Child, begin, check, go_on, report, store, try_begin};
pub(crate) use reference::{Reference, contents};
pub(crate) use stores::{Fault, Faulty, Lagging};
pub(crate) use stream::Stream;
