//! Blocks of a real node, recorded with `braid fetch`.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, shell, target_dir};
use std::path::Path;
use std::{env, fs};

/// Where npm puts it.
const PROGRAM: &str = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";

/// Mines `blocks` random blocks under each fork with the node that `BRAID_ANVIL` names, or with the
/// one that `xtask/anvil` names, which is installed; records them, and compares their parallel
/// execution with the node's receipts.
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

/// Brings the node into `folder`, which keeps it, unless the very same is there.
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
    // No script has to run: the package is the program.
    let mut command = shell("npm ci --ignore-scripts --no-audit --no-fund");
    command.current_dir(folder);
    runner.command("anvil: install", command)?;
    runner.check("anvil: program", |_| match is_there(&program, &["--version"]) {
        true => Ok(program.display().to_string()),
        false => Err(format!("{} does not run here", program.display())),
    })
}
