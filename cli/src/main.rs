//! The `braid` tool. Everything it does is in the library `braid_cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    braid_cli::commands::main()
}
