//! Sends JSON-RPC requests to a node, and checks the form of its responses.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(JSON_RPC);
