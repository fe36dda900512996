//! The pre-commit checks: two minutes after a change of one function, builds included.

use crate::recipes::fmt;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, output};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Folders, each with the lint arguments of its package. The root comes last.
const LINTS: [(&str, &str); 16] = [
    ("crates/chain/examples/private_chain/", "-p private-chain --all-targets"),
    ("crates/chain/", "-p braid-chain --all-targets"),
    ("crates/cli/", "-p braid-cli --all-targets"),
    ("fuzz/", "-p braid-fuzz --all-targets"),
    ("models/", "-p braid-models --all-targets"),
    // A separate workspace with the dependencies of the main one.
    (
        "crates/python/",
        "--manifest-path crates/python/Cargo.toml --target-dir target --all-targets",
    ),
    ("crates/node/", "-p braid-node --all-targets"),
    ("crates/terminal/", "-p braid-terminal --all-targets"),
    ("lab/shards/", "-p braid-shards --all-targets"),
    ("lab/testkit/toy/", "-p braid-toy --all-targets"),
    ("crates/blocks/", "-p braid-blocks --all-targets"),
    ("lab/testkit/", "-p braid-testkit --all-targets"),
    ("lab/tool/", "-p braid-lab --all-targets"),
    ("xtask/", "-p xtask --all-targets"),
    ("src/", "-p braid-evm --lib --all-features"),
    ("", "-p braid-evm --tests --examples --all-features"),
];

/// Numbers of random and of available real blocks to execute in all strategies.
const SAMPLES: [(&str, &str); 2] = [("BRAID_RANDOM_BLOCKS", "60"), ("BRAID_REAL_BLOCKS", "6")];

pub(crate) fn quick(runner: &mut Runner) -> Result<(), Failed> {
    fmt(runner, false)?;
    let mut lints = BTreeSet::new();
    runner.check("changes", |root| {
        lints = changed(root)?;
        Ok(format!("{} packages to lint", lints.len()))
    })?;
    for lint in lints {
        let line = format!("clippy --locked {lint} -- -D warnings");
        runner.command(&format!("lints: {lint}"), cargo(&line))?;
    }
    runner.command("rules of the source", cargo("test --quiet --locked -p xtask --test source"))?;
    runner.command("unit tests", cargo("test --quiet --locked --lib"))?;
    let mut sample =
        cargo("test --quiet --locked --test blocks -- random_blocks_equal real_blocks::");
    sample.envs(SAMPLES);
    runner.command("sample of blocks", sample)
}

/// Returns the lint arguments of all packages that differ from the last commit.
fn changed(root: &Path) -> Result<BTreeSet<&'static str>, String> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(root);
        output(command)
    };
    let tracked = git(&["diff", "--name-only", "HEAD"])?;
    let new = git(&["ls-files", "--others", "--exclude-standard"])?;
    Ok(lints(tracked.lines().chain(new.lines())))
}

fn lints<'p>(paths: impl Iterator<Item = &'p str>) -> BTreeSet<&'static str> {
    let code = paths.filter(|path| path.ends_with(".rs") || path.ends_with(".toml"));
    let lint = |path: &str| {
        let found = LINTS.iter().find(|(folder, _)| path.starts_with(folder));
        found.map(|(_, lint)| *lint)
    };
    code.filter_map(lint).collect()
}

#[cfg(test)]
mod tests {
    use super::lints;
    use crate::workspace::{output, root};
    use std::process::Command;

    #[test]
    fn a_change_is_linted_where_it_is() {
        let one = |path| lints([path].into_iter()).into_iter().next();
        assert_eq!(one("src/evm/drive.rs"), Some("-p braid-evm --lib --all-features"));
        assert_eq!(one("crates/cli/src/lib.rs"), Some("-p braid-cli --all-targets"));
        assert_eq!(
            one("tests/faults/slow.rs"),
            Some("-p braid-evm --tests --examples --all-features")
        );
        assert_eq!(one("README.md"), None);
    }

    #[test]
    fn each_package_is_linted_as_itself() {
        let one = |path: &str| lints([path].into_iter()).into_iter().next();
        let mut git = Command::new("git");
        git.args(["ls-files", "*/Cargo.toml"]).current_dir(root());
        let manifests = output(git).unwrap();
        let engine = one("tests/any.rs");
        let others: Vec<&str> = manifests.lines().filter(|path| one(path) == engine).collect();
        assert_eq!(others, Vec::<&str>::new(), "linted as the engine's tests");
        assert!(manifests.lines().count() > 10, "{manifests}");
    }
}
