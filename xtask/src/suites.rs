//! The official suites: state tests, block tests, and blocks made of state tests.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, suites_archive, target_dir};

/// Runs the suites with the tool as it ships. `whole`: everything, on several numbers of workers.
pub(crate) fn suites(runner: &mut Runner, whole: bool) -> Result<(), Failed> {
    match suites_archive(runner.root()) {
        Ok(true) => {}
        Ok(false) => {
            runner.skip("official suites", "no ethereum-tests.tar.gz: set BRAID_FIXTURES");
            return Ok(());
        }
        Err(why) => return runner.check("official suites", |_| Err(why)),
    }
    runner.command("tool: build", cargo("build --locked --release -p braid-cli"))?;
    // The tests as they are built for `cargo test`; only the tool is optimised.
    let mut command = cargo("test --locked --workspace --test suites -- --nocapture");
    command.env("BRAID_TOOL", target_dir(runner.root()).join("release/braid"));
    command.env("BRAID_SUITES", if whole { "whole" } else { "ci" });
    // Each starts as many workers as there are cores, and the CI's time is counted.
    command.arg("--test-threads=1");
    let name = if whole { "official suites, whole" } else { "official suites" };
    runner.command(name, command)
}
