//! Compares the pool of transactions with a list that is searched each time.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(POOL);
