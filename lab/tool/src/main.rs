//! The `braid-lab` tool. Everything it does is in the library `braid_lab`.

use std::process::ExitCode;

// The workers of a block give each other memory all the time; the system's allocator makes them
// wait for each other. Sequential execution uses the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    braid_lab::commands::main()
}
