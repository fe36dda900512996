//! Helpers shared by several tests.

mod attempt;
mod folder;
mod reference;
mod stores;
mod stream;
mod trouble;
mod watch;

pub(crate) use attempt::{Seen, Subject};
pub(crate) use folder::{Child, begin, check, go_on, report, store, try_begin};
pub(crate) use reference::{Reference, contents, same};
pub(crate) use stores::Lagging;
pub(crate) use stream::Stream;
pub(crate) use trouble::{Asked, Kind, Trouble, Troubled};
pub(crate) use watch::each_seed;
