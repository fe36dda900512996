//! Compares blocks whose transactions declare their accesses with plain revm under the same rule.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(DECLARED);
