//! Selects the seeded bugs that a change affects, and runs the tests that must catch them.
//!
//! The bugs are listed in `docs/data/seeded_bugs.tsv`. A bug belongs to the files of `src` that
//! name it. The CI tries the bugs whose files the change touches, at most [`MOST`] of them,
//! selected by the commit hash. `cargo xtask mutants` tries all bugs.

use crate::change::{Change, at_most};
use crate::recipes::loom;
use crate::runner::{Failed, Runner};
use crate::workspace::cargo;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Environment variable with the names of the bugs to try, separated by commas.
const CHOSEN: &str = "BRAID_SEEDED_BUGS";
/// Table of the bugs, one per line.
const TABLE: &str = "docs/data/seeded_bugs.tsv";
/// Maximum number of seeded bugs in one CI run.
const MOST: usize = 48;

/// Tries every seeded bug.
pub(crate) fn all(runner: &mut Runner) -> Result<(), Failed> {
    run(runner, None)?;
    loom(runner, None, "loom_catches")
}

/// Tries the seeded bugs that the change affects.
pub(crate) fn touched(runner: &mut Runner) -> Result<(), Failed> {
    let mut chosen = String::new();
    runner.check("seeded bugs: choice", |root| {
        let Choice { names, touched, all, base } = choose(root)?;
        chosen = names.join(",");
        Ok(format!("{} of {touched} that are touched since {base}, of {all}", names.len()))
    })?;
    if chosen.is_empty() {
        return Ok(());
    }
    run(runner, Some(&chosen))
}

/// Checks, each with its test command.
const RUNGS: [(&str, &str); 5] = [
    (
        "seeded bugs: properties",
        "test --locked -p braid-toy --test store -- --ignored every_mutant",
    ),
    (
        "seeded bugs: models, simulation, traces",
        "test --locked -p braid-models --test mutants -- --include-ignored --nocapture",
    ),
    (
        "seeded bugs: shards, simulation",
        "test --locked -p braid-shards --features mutants --test shards -- --nocapture seeded",
    ),
    (
        "seeded bugs: shards, model",
        "test --locked -p braid-models --test shards -- --ignored --nocapture",
    ),
    (
        "seeded bugs: Ethereum layer",
        "test --locked --test blocks -- --ignored --nocapture seeded hand_made_blocks_notice",
    ),
];

/// Runs every check of the table, except loom.
fn run(runner: &mut Runner, chosen: Option<&str>) -> Result<(), Failed> {
    for (name, line) in RUNGS {
        let mut command = cargo(line);
        if let Some(chosen) = chosen {
            command.env(CHOSEN, chosen);
        }
        runner.command(name, command)?;
    }
    Ok(())
}

/// Selected bugs.
struct Choice {
    names: Vec<String>,
    touched: usize,
    all: usize,
    base: String,
}

fn choose(root: &Path) -> Result<Choice, String> {
    let Change { files, base, seed } = Change::read(root)?;
    let mut names = bugs(&fs::read_to_string(root.join(TABLE)).unwrap_or_default());
    let all = names.len();
    // Without history, the change is unknown, and every bug may be affected.
    if let Some(files) = files {
        let words = words_of_files(root, &files);
        names.retain(|name| words.contains(name.as_str()));
    }
    let touched = names.len();
    Ok(Choice { names: at_most(names, MOST, seed), touched, all, base })
}

/// Returns the words of those of `files` that are in `src`, except the lists of bugs.
fn words_of_files(root: &Path, files: &[String]) -> BTreeSet<String> {
    let files = files.iter().filter(|path| path.starts_with("src/"));
    let files = files.filter(|path| !path.ends_with("mutants.rs"));
    let texts = files.map(|path| fs::read_to_string(root.join(path)).unwrap_or_default());
    texts.flat_map(|text| words_of(&text).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Returns the names of the bugs in the rows of the table.
fn bugs(table: &str) -> Vec<String> {
    let bugs = table.lines().skip(1).filter_map(|row| row.split('\t').nth(2));
    bugs.map(|bug| bug.trim_matches('`').to_owned()).collect()
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
}

#[cfg(test)]
mod tests {
    use super::{TABLE, bugs, words_of, words_of_files};
    use crate::change::{files, git};
    use crate::workspace::root;

    #[test]
    fn the_table_is_read() {
        let table = std::fs::read_to_string(root().join(TABLE)).unwrap();
        let bugs = bugs(&table);
        assert!(bugs.len() > 130 && bugs.contains(&"SkipValidation".to_owned()), "{bugs:?}");
    }

    #[test]
    fn every_bug_is_named_by_code_that_it_belongs_to() {
        let mut folders = vec![root().join("src")];
        let mut text = String::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("mutants.rs") {
                    text += &std::fs::read_to_string(&path).unwrap();
                }
            }
        }
        let words: std::collections::BTreeSet<&str> = words_of(&text).collect();
        let table = std::fs::read_to_string(root().join(TABLE)).unwrap();
        let lost: Vec<String> =
            bugs(&table).into_iter().filter(|name| !words.contains(name.as_str())).collect();
        assert_eq!(lost, Vec::<String>::new());
    }

    #[test]
    fn a_change_of_everything_touches_every_bug() {
        let git = |arguments: &[&str]| git(&root(), arguments);
        // An archive has no history.
        if git(&["rev-parse", "--is-shallow-repository"]).as_deref() != Ok("false") {
            return;
        }
        let empty = git(&["hash-object", "-t", "tree", "/dev/null"]).unwrap();
        let words = words_of_files(&root(), &files(&root(), &empty).unwrap());
        let table = std::fs::read_to_string(root().join(TABLE)).unwrap();
        let missed: Vec<_> =
            bugs(&table).into_iter().filter(|bug| !words.contains(bug.as_str())).collect();
        assert_eq!(missed, Vec::<String>::new());
    }
}
