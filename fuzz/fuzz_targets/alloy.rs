//! Compares Braid as a block executor of alloy-evm with alloy-evm's own, over several blocks.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(ALLOY);
