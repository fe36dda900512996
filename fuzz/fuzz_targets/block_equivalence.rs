//! Random blocks against sequential execution. Without a fuzzer it replays the files it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| braid_fuzz::targets::block_equivalence(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        braid_fuzz::targets::block_equivalence(&std::fs::read(&path)?);
        println!("{}: equal", path.display());
    }
    Ok(())
}
