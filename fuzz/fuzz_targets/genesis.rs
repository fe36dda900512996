//! Reads genesis files, begins chains with them, and exports them again.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(GENESIS);
