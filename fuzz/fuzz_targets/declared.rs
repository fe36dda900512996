//! Blocks whose transactions declare what they access, against plain revm with the same rule. Without a fuzzer it replays
//! the files that it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| braid_fuzz::targets::DECLARED.run(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    braid_fuzz::targets::DECLARED.replay()
}
