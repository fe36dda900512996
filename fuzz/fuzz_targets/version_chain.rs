//! Compares operations on the store with an ordered map.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(VERSION_CHAIN);
