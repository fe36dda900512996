//! Executes, kills, unwinds, prunes and reopens a chain, and compares it with a plain model.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| braid_fuzz::targets::CHAIN.run(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    braid_fuzz::targets::CHAIN.replay()
}
