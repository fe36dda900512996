//! Records blocks that anvil mines with `braid fetch`, and executes them.

use crate::install;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, target_dir};
use std::env;

/// Path of the program in the folder into which npm installs the package.
const PROGRAM: &str = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";

/// Mines `blocks` random blocks under each fork, records them, and compares their parallel
/// execution with the node's receipts.
///
/// The node is the program that `BRAID_ANVIL` names, or the version that `xtask/anvil` pins, which
/// is installed.
pub(crate) fn anvil(runner: &mut Runner, blocks: u32) -> Result<(), Failed> {
    let target = target_dir(runner.root());
    let program = match env::var_os("BRAID_ANVIL") {
        Some(program) => program.into(),
        None if cfg!(all(target_os = "linux", target_arch = "x86_64")) => {
            let folder = target.join("anvil");
            install::npm(runner, "xtask/anvil", &folder, PROGRAM)?;
            let program = folder.join(PROGRAM);
            runner.check("anvil: program", |_| match is_there(&program, &["--version"]) {
                true => Ok(program.display().to_string()),
                false => Err(format!("{} does not run here", program.display())),
            })?;
            program
        }
        None => {
            let why = "only the program for Linux on x86-64 is pinned: name one with BRAID_ANVIL";
            runner.skip("blocks of a real node", why);
            return Ok(());
        }
    };
    runner.command("tool: build", cargo("build --locked --release -p braid-cli"))?;
    let mut command = cargo("test --locked --test tool -- anvil:: --nocapture");
    command.env("BRAID_ANVIL", program).env("BRAID_TOOL", target.join("release/braid"));
    command.env("BRAID_ANVIL_BLOCKS", blocks.to_string());
    runner.command("blocks of a real node", command)
}
