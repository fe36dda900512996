//! `braid lint`: pairs of conflicting functions, and their locations.
//!
//! 1. `names`: variables, functions and lines, from each format that compilers write.
//! 2. `pairs`: the findings equal a comparison of every two transactions; conflicts that a changed
//!    contract has lost.
//! 3. `tool`: exit codes, JSON, SARIF.
//! 4. `pages`: the commands of docs/LINT.md print what the page shows.

mod names;
#[cfg(unix)]
mod pages;
mod pairs;
mod tool;

use std::path::PathBuf;

/// Returns the compiler's output for the three collectibles.
fn compiled() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../lab/contracts/out/Mint.json")
}
