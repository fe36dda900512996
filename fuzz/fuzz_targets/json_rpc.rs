//! Sends JSON-RPC requests to a node, and checks the form of its responses.
//!
//! Without a fuzzer, replays the files named on the command line.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| braid_fuzz::targets::JSON_RPC.run(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    braid_fuzz::targets::JSON_RPC.replay()
}
