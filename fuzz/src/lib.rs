//! Fuzz targets, and the comparison of Braid with sequential execution on threads.
//!
//! The bodies of the fuzz targets are plain functions ([`targets`]), so that the tests of this
//! package replay the inputs that fuzzing has found.

pub mod mutate;
pub mod seeded;
pub mod spec;
pub mod targets;

pub use braid_blocks::hooked;
pub use braid_blocks::memory;
pub use braid_blocks::{code, faulty};
pub use braid_testkit::{generate, hostile, lineup, listed, oracle, own, pace, plain, spoil};

/// Defines the main function of a fuzz target: under a fuzzer it runs inputs, and otherwise it
/// replays the files named on the command line.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::targets::$name.run(bytes));

        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_mutator!(|bytes: &mut [u8],
                                      size: usize,
                                      max_size: usize,
                                      seed: u32| {
            match $crate::targets::$name.mutated(&bytes[..size], seed) {
                Some(new) if new.len() <= max_size => {
                    bytes[..new.len()].copy_from_slice(&new);
                    new.len()
                }
                _ => libfuzzer_sys::fuzzer_mutate(bytes, size, max_size),
            }
        });

        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_crossover!(|bytes: &[u8], from: &[u8], out: &mut [u8], seed: u32| {
            match $crate::targets::$name.crossed(bytes, from, seed) {
                Some(new) if new.len() <= out.len() => {
                    out[..new.len()].copy_from_slice(&new);
                    new.len()
                }
                // The fuzzer tries another change.
                _ => 0,
            }
        });

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::targets::$name.replay()
        }
    };
}
