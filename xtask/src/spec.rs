//! Compares `braid-lab t8n` with the executable specification on random blocks.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, target_dir};
use std::process::Command;

/// Version of the specification on PyPI. Another may have other quirks.
const PACKAGE: &str = "ethereum-execution==2.20.0";

/// Compares `cases` random blocks of Berlin and later forks, and a sixth as many of older forks.
pub(crate) fn spec(runner: &mut Runner, cases: u64, first: u64) -> Result<(), Failed> {
    let folder = target_dir(runner.root()).join("spec-venv");
    let tool = folder.join("bin/ethereum-spec-evm");
    let python = folder.join("bin/python");
    if !is_there(&tool, &["--help"]) {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&folder);
        runner.command("specification: environment", venv)?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]);
        runner.command("specification: install", install)?;
    }
    runner.command("tool: build", cargo("build --locked --release -p braid-lab"))?;
    runner.command("specification: build", cargo("build --locked -p braid-fuzz --bin spec"))?;
    let target = target_dir(runner.root());
    let mut run = |name: &str, cases: u64, more: &[&str]| {
        let mut command = Command::new(target.join("debug/spec"));
        command.arg("--lab").arg(target.join("release/braid-lab")).arg("--python").arg(&python);
        command.args(["--cases", &cases.to_string(), "--first", &first.to_string()]).args(more);
        runner.command(name, command)
    };
    run("specification: Berlin to Osaka", cases, &[])?;
    run("specification: older forks", cases.div_ceil(6), &["--old"])
}
