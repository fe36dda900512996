//! A running chain, as its metrics show it: what `braid-node top` draws.

mod draw;
mod figures;
mod scrape;

pub use draw::{View, draw};
pub use figures::{Figures, Share};
pub use scrape::{Sample, Scrape, ScrapeError, Source};
