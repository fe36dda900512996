//! Reads and executes block files of arbitrary bytes.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(BLOCK_FILE);
