//! `braid survey`: rows, sums and files.
//!
//! 1. `sums`: how numbers are spread, what limits a block, what conflict chains wait for, by hand.
//! 2. `tool`: what the tool prints and writes, against what `braid explain` says of each block.
//! 3. `page`: the tables of docs/SURVEY.md are what their commands print on the real blocks.

#[cfg(unix)]
mod page;
mod sums;
mod tool;
