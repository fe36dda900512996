//! The change that the CI checks: the files that differ from its base.

use crate::workspace::output;
use std::env;
use std::path::Path;
use std::process::Command;

/// Environment variable with the base commit of the change.
const BASE: &str = "BRAID_CI_BASE";
/// Without [`BASE`], the change is the commits of this many days before `HEAD`.
const DAYS: u64 = 2;

/// The files that a change touches.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Paths from the root of the workspace, with `/`; `None` if there is no history.
    pub(crate) files: Option<Vec<String>>,
    /// First digits of the commit before the change.
    pub(crate) base: String,
    /// A number derived from the newest commit.
    pub(crate) seed: usize,
}

impl Change {
    /// Reads the change from git.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let git = |arguments: &[&str]| git(root, arguments);
        let Ok(head) = git(&["rev-parse", "HEAD"]) else {
            return Ok(Self { files: None, base: "the beginning".to_owned(), seed: 0 });
        };
        let is_shallow = git(&["rev-parse", "--is-shallow-repository"])? == "true";
        let named = env::var(BASE).ok().filter(|base| !base.is_empty());
        let is_unknown = is_shallow && named.is_none();
        let base = named.map_or_else(|| base(&git), Ok)?;
        let files = if is_unknown { None } else { Some(files(root, &base)?) };
        Ok(Self { files, base: base.chars().take(10).collect(), seed: seed(&head) })
    }
}

/// Returns the files that differ from `base`.
pub(crate) fn files(root: &Path, base: &str) -> Result<Vec<String>, String> {
    Ok(git(root, &["diff", "--name-only", base])?.lines().map(str::to_owned).collect())
}

/// Returns what git prints.
pub(crate) fn git(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(root);
    output(command).map(|text| text.trim().to_owned())
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

/// Returns a number derived from the commit hash.
fn seed(head: &str) -> usize {
    let digits = head.get(..8).unwrap_or_default();
    usize::from_str_radix(digits, 16).unwrap_or_default()
}

/// Returns at most `most` of `items`, evenly spaced so that each part of a list is included; `seed`
/// varies the selection.
pub(crate) fn at_most<T>(mut items: Vec<T>, most: usize, seed: usize) -> Vec<T> {
    if let Some(start) = seed.checked_rem(items.len()) {
        items.rotate_left(start);
    }
    let total = items.len().max(most);
    let is_taken = |place: usize| place * most % total < most;
    let taken = items.into_iter().enumerate().filter(|(place, _)| is_taken(*place));
    taken.map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::at_most;
    use std::collections::BTreeSet;

    #[test]
    fn a_long_list_is_sampled_evenly_and_whole_in_the_long_run() {
        let items: Vec<usize> = (0..130).collect();
        let mut taken = BTreeSet::new();
        for seed in 0..130 {
            let chosen = at_most(items.clone(), 48, seed);
            assert_eq!(chosen.len(), 48);
            taken.extend(chosen);
        }
        assert_eq!(taken.len(), items.len());
        let chosen = at_most(items.clone(), 48, 0);
        assert!(chosen.contains(&0) && chosen.iter().any(|item| *item > 100));
        assert_eq!(at_most(items[..9].to_vec(), 48, 77).len(), 9);
        assert!(at_most(Vec::<usize>::new(), 48, 77).is_empty());
    }
}
