//! Fuzz targets, and the comparison of Braid with sequential execution on threads.
//!
//! The bodies of the fuzz targets are plain functions ([`targets`]), so that the tests of this
//! package replay the inputs that fuzzing has found.

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

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::targets::$name.replay()
        }
    };
}
