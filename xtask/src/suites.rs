//! Runs the official suites: state tests, block tests, and blocks made of state tests.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, suites_archive, target_dir};

/// Part of the suites to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// A sample of each suite.
    Sample,
    /// Each test once.
    Ci,
    /// Every test, on several numbers of workers.
    Whole,
}

/// Arguments that build the tests of the laboratory. They are built with the fuzz targets because
/// cargo unifies the features of all packages in a build; later steps that build the fuzz targets
/// then reuse the dependencies.
const TESTS: &str = "test --locked -p braid-lab -p braid-shards -p braid-fuzz";

/// Runs the tests of `braid-lab`, including a sample of the suites, and those of the shards.
pub(crate) fn lab(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("laboratory: tests", cargo(&format!("{TESTS} --lib --test lab --test shards")))
}

/// Runs the suites with an optimised `braid-lab`.
pub(crate) fn suites(runner: &mut Runner, size: Size) -> Result<(), Failed> {
    match suites_archive(runner.root()) {
        Ok(true) => {}
        Ok(false) => {
            runner.skip("official suites", "no ethereum-tests.tar.gz: set BRAID_FIXTURES");
            return Ok(());
        }
        Err(why) => return runner.check("official suites", |_| Err(why)),
    }
    runner.command("tool: build", cargo("build --locked --release -p braid-lab"))?;
    // Only the tool is optimised, because the tests do not need it.
    let mut command = cargo(&format!("{TESTS} --test lab -- suites:: --nocapture"));
    command.env("BRAID_TOOL", target_dir(runner.root()).join("release/braid-lab"));
    let (size, name) = match size {
        Size::Sample => ("", "official suites: sample"),
        Size::Ci => ("ci", "official suites"),
        Size::Whole => ("whole", "official suites, whole"),
    };
    command.env("BRAID_SUITES", size);
    // Each test starts as many workers as there are cores, and the CI has a time limit.
    command.args(["--include-ignored", "--test-threads=1"]);
    runner.command(name, command)
}
