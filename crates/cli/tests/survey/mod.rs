//! `braid survey`: rows, sums and files.
//!
//! 1. `sums`: distributions, the limits of blocks, and the locations that conflict chains wait for,
//!    computed by hand.
//! 2. `tool`: output and files of the tool, compared with those of `braid explain` for each block.
//! 3. `page`: the tables of docs/SURVEY.md equal the output of their commands on the real blocks.

#[cfg(unix)]
mod page;
mod sums;
mod tool;
