//! Compares blocks with sequential execution. All tests are in one program, because each program
//! links revm again.
//!
//! `cargo test --test blocks random` runs the tests whose path contains `random`. Rules of the
//! source and the pages are tested in `xtask/tests/source`.

mod support;

mod alloy;
#[cfg(feature = "tokio")]
mod asynchronous;
mod blob_room;
mod build_from_pool;
mod busy_machine;
mod conversions;
mod declared;
mod declared_figures;
mod equivalence;
mod errors;
mod faults;
mod hostile_lists;
mod random_blocks;
mod real_blocks;
mod reasons;
mod regressions;
mod replay;
mod simulated_blocks;
mod simulation;
mod surcharge;
