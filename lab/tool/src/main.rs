//! The `braid-lab` tool, a thin wrapper around the library `braid_lab`.

use std::process::ExitCode;

// Workers constantly free memory that another worker allocated; the system's allocator makes them
// contend for locks. Sequential execution uses the same allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    braid_lab::commands::main()
}
