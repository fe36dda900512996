//! Seeded bugs: which of them a change concerns, and what tries them.
//!
//! `docs/data/seeded_bugs.tsv` has the table. A bug belongs to the files of `src` that name it. The CI tries those whose files
//! the change touches and a tenth of the others, which rotates with the commit; `cargo xtask mutants` tries all.

use crate::recipes::loom;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, output};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Names of the bugs that tests are to try, separated by commas.
const CHOSEN: &str = "BRAID_SEEDED_BUGS";
/// The bugs, one a line.
const TABLE: &str = "docs/data/seeded_bugs.tsv";
/// The commit that the change goes out from.
const BASE: &str = "BRAID_CI_BASE";
/// Without [`BASE`], the commits of the last days before `HEAD` are the change.
const DAYS: u64 = 2;
/// Of the untouched bugs, the share that is tried: one in ten.
const ROTATION: usize = 10;

/// Tries every seeded bug.
pub(crate) fn all(runner: &mut Runner) -> Result<(), Failed> {
    run(runner, None)?;
    loom(runner, None, "loom_catches")
}

/// Tries the seeded bugs that the change concerns and a tenth of the others.
pub(crate) fn touched(runner: &mut Runner) -> Result<(), Failed> {
    let mut chosen = String::new();
    runner.check("seeded bugs: choice", |root| {
        let choice = choose(root)?;
        chosen = choice.names.join(",");
        Ok(format!(
            "{} of {}: {} touched since {}, {} by rotation",
            choice.names.len(),
            choice.all,
            choice.touched,
            choice.base,
            choice.names.len() - choice.touched,
        ))
    })?;
    run(runner, Some(&chosen))
}

/// Bugs that the code of another layer switches on under another name.
const SWITCHES: [(&str, &str); 3] = [
    ("CreditAfterFrontier", "FrontierBeforeCredit"),
    ("PartUnchecked", "OutsidersIgnored"),
    ("LaneUnchecked", "OutsidersIgnored"),
];

/// The name by which code switches the bug `name` on.
fn switch(name: &str) -> &str {
    SWITCHES.iter().find(|(bug, _)| *bug == name).map_or(name, |(_, switch)| switch)
}

/// Each rung with its tests.
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

/// Each rung that the table names, but for loom's.
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

/// Bugs that are to be tried.
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
    let changed = git(&["diff", "--name-only", &base, "--", "src"])?;
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let words = changed.lines().filter(|path| !path.ends_with("mutants.rs")).map(read);
    let words: Vec<String> = words.collect();
    let words: BTreeSet<&str> = words.iter().flat_map(|text| words_of(text)).collect();
    let bugs = bugs(&read(TABLE));
    let turn = turn(&head);
    // Without history nothing tells what the change is.
    let is_shallow = git(&["rev-parse", "--is-shallow-repository"])? == "true";
    let is_unknown = is_shallow && env::var_os(BASE).is_none();
    let is_touched = |name: &String| is_unknown || words.contains(switch(name));
    let touched = bugs.iter().filter(|name| is_touched(name)).count();
    let all = bugs.len();
    let names = bugs.into_iter().enumerate();
    let names = names.filter(|(row, name)| is_touched(name) || row % ROTATION == turn);
    let base = base.chars().take(10).collect();
    Ok(Choice { names: names.map(|(_, name)| name).collect(), touched, all, base })
}

/// The newest commit that is more than [`DAYS`] older than `HEAD`, or the first one.
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

/// Which tenth is tried: it follows from the commit.
fn turn(head: &str) -> usize {
    let digits = head.get(..8).unwrap_or_default();
    usize::from_str_radix(digits, 16).unwrap_or_default() % ROTATION
}

/// Names of the bugs in the rows of the table.
fn bugs(table: &str) -> Vec<String> {
    let bugs = table.lines().skip(1).filter_map(|row| row.split('\t').nth(2));
    bugs.map(|bug| bug.trim_matches('`').to_owned()).collect()
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
}

#[cfg(test)]
mod tests {
    use super::{ROTATION, TABLE, bugs, choose, switch, turn, words_of};
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
            bugs(&table).into_iter().filter(|name| !words.contains(switch(name))).collect();
        assert_eq!(lost, Vec::<String>::new());
    }

    #[test]
    fn every_bug_has_its_turn() {
        let turns: std::collections::BTreeSet<usize> =
            (0_u32..200).map(|head| turn(&format!("{head:08x}"))).collect();
        assert_eq!(turns.len(), ROTATION);
    }

    #[test]
    fn something_is_chosen_in_a_checkout() {
        // An archive has no history.
        if root().join(".git").exists() {
            let choice = choose(&root()).unwrap();
            assert!(choice.names.len() >= choice.all / ROTATION, "{:?}", choice.names);
        }
    }
}
