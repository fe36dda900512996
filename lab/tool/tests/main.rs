//! Tests of `braid-lab` as a child process, and of its parts, in one program: each program links
//! revm again.

mod attacks;
mod bench;
mod contention;
mod errors;
#[path = "../../../crates/cli/tests/support/help.rs"]
mod help;
mod invoke;
mod odd;
mod output;
mod shards;
mod shell;
mod sim;
mod suite_ends;
mod suite_formats;
mod suite_lists;
mod suites;
#[path = "../../../crates/cli/tests/support/mod.rs"]
mod support;
mod sustain;
mod t8n;
