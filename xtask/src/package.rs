//! Packages a release.

use crate::runner::{Failed, Runner};
use crate::workspace::cargo;

/// Packages the libraries and tools, and builds them from the packages.
pub(crate) fn package(runner: &mut Runner) -> Result<(), Failed> {
    let publish = "publish --dry-run --locked --allow-dirty -p braid-evm -p braid-chain -p braid-blocks -p braid-terminal -p braid-node -p braid-cli";
    runner.command("package", cargo(publish))
}
