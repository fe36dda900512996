//! The state of a running chain, from its metrics, as `braid-node top` shows it.

mod draw;
mod figures;
mod scrape;

pub use draw::{View, draw};
pub use figures::{Figures, Share};
pub use scrape::{Sample, Scrape, ScrapeError, Source};
