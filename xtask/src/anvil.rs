//! Records blocks that anvil mines with `braid fetch`, and executes them.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, shell, target_dir};
use std::path::Path;
use std::{env, fs};

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
            install(runner, &folder)?;
            folder.join(PROGRAM)
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

/// Installs the pinned node into `folder`, unless an earlier run has installed the same version.
fn install(runner: &mut Runner, folder: &Path) -> Result<(), Failed> {
    const FILES: [&str; 2] = ["package.json", "package-lock.json"];
    let same = |root: &Path| {
        FILES.iter().all(|file| {
            let wanted = fs::read(root.join("xtask/anvil").join(file)).ok();
            wanted.is_some() && wanted == fs::read(folder.join(file)).ok()
        })
    };
    let program = folder.join(PROGRAM);
    if same(runner.root()) && is_there(&program, &["--version"]) {
        return Ok(());
    }
    runner.check("anvil: folder", |root| {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        for file in FILES {
            let copied = fs::copy(root.join("xtask/anvil").join(file), folder.join(file));
            copied.map_err(|error| error.to_string())?;
        }
        Ok(folder.display().to_string())
    })?;
    // The package is the program itself and needs no install script.
    let mut command = shell("npm ci --ignore-scripts --no-audit --no-fund");
    command.current_dir(folder);
    runner.command("anvil: install", command)?;
    runner.check("anvil: program", |_| match is_there(&program, &["--version"]) {
        true => Ok(program.display().to_string()),
        false => Err(format!("{} does not run here", program.display())),
    })
}
