//! Checks orders of events of small blocks with the rules of the models.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(PROTOCOL_EVENTS);
