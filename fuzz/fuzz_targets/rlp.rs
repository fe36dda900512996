//! Decodes blocks, transactions, receipts and access lists in RLP, and encodes them again.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| braid_fuzz::targets::RLP.run(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    braid_fuzz::targets::RLP.replay()
}
