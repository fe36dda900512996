//! Builds the library as a project does that only adds it to its dependencies.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, output, target_dir};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Builds a project with the library's default features where there is no C compiler, runs it, and
/// compares what it prints with the same project over the implementations in C and assembly.
pub(crate) fn embedder(runner: &mut Runner) -> Result<(), Failed> {
    let folder = runner.root().join("xtask/embedder");
    let target = target_dir(runner.root()).join("embedder");
    runner.check("embedder: versions", |root| {
        // The versions of the main workspace: the project has no lock file of its own.
        let lock = folder.join("Cargo.lock");
        fs::copy(root.join("Cargo.lock"), lock).map_err(|error| error.to_string())?;
        Ok("Cargo.lock".to_owned())
    })?;
    let project = |line: &str| {
        let mut command = cargo(line);
        command.current_dir(&folder).env("CARGO_TARGET_DIR", &target);
        command
    };
    let mut build = project("build");
    for compiler in ["CC", "CXX", "HOST_CC", "TARGET_CC"] {
        build.env(compiler, "/bin/false");
    }
    runner.command("embedder: build without a C compiler", build)?;
    let program = target.join("debug/braid-embedder");
    let printed = |program: &Path| output(Command::new(program));
    let mut rust = String::new();
    runner.check("embedder: in Rust", |_| {
        rust = printed(&program)?;
        Ok(format!("{} calls", rust.lines().count()))
    })?;
    runner.command("embedder: build with C", project("build --features fast"))?;
    runner.check("embedder: the same in C", |_| compare(&rust, &printed(&program)?))
}

/// Compares what both programs print.
fn compare(rust: &str, c: &str) -> Result<String, String> {
    if rust.is_empty() {
        return Err("nothing was printed".to_owned());
    }
    let different = rust.lines().zip(c.lines()).find(|(rust, c)| rust != c);
    match different {
        Some((rust, c)) => Err(format!("in Rust {rust}\nin C    {c}")),
        None if rust.lines().count() != c.lines().count() => Err("not as many calls".to_owned()),
        None => Ok(format!("{} calls", rust.lines().count())),
    }
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn a_different_line_fails() {
        assert_eq!(compare("a\nb\n", "a\nb\n"), Ok("2 calls".to_owned()));
        assert!(compare("a\nb\n", "a\nc\n").is_err_and(|why| why.contains("in Rust b")));
        assert!(compare("a\nb\n", "a\n").is_err() && compare("", "").is_err());
    }
}
