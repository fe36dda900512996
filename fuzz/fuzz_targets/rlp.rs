//! Decodes blocks, transactions, receipts and access lists in RLP, and encodes them again.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

braid_fuzz::target!(RLP);
