//! Rules that no compiler checks: of the source, and of the pages about it.

mod architecture;
mod imports;
mod pages;
mod thresholds;
mod words;
