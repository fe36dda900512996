//! `braid lint`: pairs of functions that conflict, and where.
//!
//! 1. `names`: variables, functions and lines, from each format that compilers write.
//! 2. `pairs`: what is found equals what comparing every two transactions finds; what a changed contract no longer has.
//! 3. `tool`: exit codes, JSON, SARIF.
//! 4. `pages`: the commands of docs/LINT.md print what the page says.

mod names;
#[cfg(unix)]
mod pages;
mod pairs;
mod tool;

use std::path::PathBuf;

/// What the compiler has written of the three collectibles.
fn compiled() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../lab/contracts/out/Mint.json")
}
