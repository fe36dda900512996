//! Compares transactions that share a journal with sequential execution.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(JOURNALS);
