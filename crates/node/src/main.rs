//! The `braid-node` tool, which only calls the library `braid_node`.

use std::process::ExitCode;

// The workers of a block constantly pass memory to each other; with the system's allocator they
// would contend for its locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    braid_node::commands::main()
}
