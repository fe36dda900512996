//! Selects the seeded bugs that a change affects, and runs the tests that must catch them.
//!
//! The bugs are listed in `docs/data/seeded_bugs.tsv`. A bug belongs to the files of `src` that
//! name it. The CI tries the bugs whose files the change touches, at most [`MOST`] of them,
//! selected by the commit hash. `cargo xtask mutants` tries all bugs.

use crate::recipes::loom;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, output};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Environment variable with the names of the bugs to try, separated by commas.
const CHOSEN: &str = "BRAID_SEEDED_BUGS";
/// Table of the bugs, one per line.
const TABLE: &str = "docs/data/seeded_bugs.tsv";
/// Environment variable with the base commit of the change.
const BASE: &str = "BRAID_CI_BASE";
/// Without [`BASE`], the change is the commits of this many days before `HEAD`.
const DAYS: u64 = 2;
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
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(root);
        output(command).map(|text| text.trim().to_owned())
    };
    let head = git(&["rev-parse", "HEAD"])?;
    let base = match env::var(BASE) {
        Ok(base) => base,
        Err(_) => base(&git)?,
    };
    let words = changed_words(root, &base)?;
    let mut names = bugs(&fs::read_to_string(root.join(TABLE)).unwrap_or_default());
    // Without history, the change is unknown.
    let is_shallow = git(&["rev-parse", "--is-shallow-repository"])? == "true";
    let is_unknown = is_shallow && env::var_os(BASE).is_none();
    let all = names.len();
    names.retain(|name| is_unknown || words.contains(name.as_str()));
    let touched = names.len();
    let base = base.chars().take(10).collect();
    Ok(Choice { names: at_most(names, seed(&head)), touched, all, base })
}

/// Returns at most [`MOST`] of `bugs`, evenly spaced so that every layer of the table is included;
/// `seed` varies the selection.
fn at_most(mut bugs: Vec<String>, seed: usize) -> Vec<String> {
    if let Some(start) = seed.checked_rem(bugs.len()) {
        bugs.rotate_left(start);
    }
    let total = bugs.len().max(MOST);
    let is_taken = |place: usize| place * MOST % total < MOST;
    bugs.into_iter().enumerate().filter(|(place, _)| is_taken(*place)).map(|(_, bug)| bug).collect()
}

/// Returns the words of all files of `src` that differ from `base`, except the lists of bugs.
fn changed_words(root: &Path, base: &str) -> Result<BTreeSet<String>, String> {
    let mut git = Command::new("git");
    git.args(["diff", "--name-only", base, "--", "src"]).current_dir(root);
    let changed = output(git)?;
    let changed = changed.lines().filter(|path| !path.ends_with("mutants.rs"));
    let texts = changed.map(|path| fs::read_to_string(root.join(path)).unwrap_or_default());
    Ok(texts.flat_map(|text| words_of(&text).map(str::to_owned).collect::<Vec<_>>()).collect())
}

/// Returns the newest commit that is more than [`DAYS`] days older than `HEAD`, or the first
/// commit.
fn base(git: &impl Fn(&[&str]) -> Result<String, String>) -> Result<String, String> {
    let seconds = git(&["log", "-1", "--format=%ct"])?;
    let seconds: u64 = seconds.parse().map_err(|error| format!("{seconds:?}: {error}"))?;
    let before = format!("--before={}", seconds.saturating_sub(DAYS * 86_400));
    let found = git(&["rev-list", "-1", &before, "HEAD"])?;
    if !found.is_empty() {
        return Ok(found);
    }
    let first = git(&["rev-list", "--max-parents=0", "HEAD"])?;
    Ok(first.lines().next().unwrap_or("HEAD").to_owned())
}

/// Returns a seed derived from the commit hash.
fn seed(head: &str) -> usize {
    let digits = head.get(..8).unwrap_or_default();
    usize::from_str_radix(digits, 16).unwrap_or_default()
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
    use super::{MOST, TABLE, at_most, bugs, changed_words, words_of};
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
    fn a_large_change_has_as_many_bugs_tried_as_there_is_time_for() {
        let touched: Vec<String> = (0..130).map(|bug| bug.to_string()).collect();
        let mut tried = std::collections::BTreeSet::new();
        for seed in 0..130 {
            let chosen = at_most(touched.clone(), seed);
            assert_eq!(chosen.len(), MOST);
            tried.extend(chosen);
        }
        assert_eq!(tried.len(), touched.len());
        // The selection includes all layers of the table.
        let chosen = at_most(touched.clone(), 0);
        assert!(chosen.contains(&"0".to_owned()) && chosen.iter().any(|bug| bug.len() == 3));
        assert_eq!(at_most(touched[..9].to_vec(), 77).len(), 9);
        assert!(at_most(Vec::new(), 77).is_empty());
    }

    #[test]
    fn a_change_of_everything_touches_every_bug() {
        let git = |arguments: &[&str]| {
            let mut command = std::process::Command::new("git");
            command.args(arguments).current_dir(root());
            crate::workspace::output(command).map(|text| text.trim().to_owned())
        };
        // An archive has no history.
        if git(&["rev-parse", "--is-shallow-repository"]).as_deref() != Ok("false") {
            return;
        }
        let empty = git(&["hash-object", "-t", "tree", "/dev/null"]).unwrap();
        let words = changed_words(&root(), &empty).unwrap();
        let table = std::fs::read_to_string(root().join(TABLE)).unwrap();
        let missed: Vec<_> =
            bugs(&table).into_iter().filter(|bug| !words.contains(bug.as_str())).collect();
        assert_eq!(missed, Vec::<String>::new());
    }
}
