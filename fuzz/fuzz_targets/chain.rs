//! Executes, kills, unwinds, prunes and reopens a chain, and compares it with a plain model.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(CHAIN);
