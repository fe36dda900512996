//! Compares Braid as a block executor of alloy-evm with alloy-evm's own, over several blocks.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| braid_fuzz::targets::ALLOY.run(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    braid_fuzz::targets::ALLOY.replay()
}
