//! Checks the links of all pages, and that names in code style exist.

use crate::pages::quoted;
use crate::root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders that a path on a page may be relative to.
const BEGINNINGS: [&str; 5] = ["", "src", "docs", "crates/python", "crates/chain/src"];

/// Names of other projects, or of files that a command creates. [`CONFORMANCE`] is not checked: it
/// lists tests of other projects.
const FOREIGN: [&str; 15] = [
    "BasicBlockExecutor",
    "BlockAssembler",
    "flatCallTracer",
    "noopTracer",
    "ConfigureEvm",
    "BlockExecutorFactory",
    "execute_one",
    "limit_contract_code_size",
    "FinalizeBlock",
    "LOOM_LOG",
    "demo/genesis.json",
    "state/keyspaces",
    "state/transactions",
    "hdfs:",
    "blocks",
];

const CONFORMANCE: &str = "docs/CONFORMANCE.md";

/// Pages outside `docs`.
const OUTSIDE_DOCS: [&str; 6] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "lab/contracts/README.md",
    "crates/python/README.md",
];

/// Returns all pages with their texts, sorted by path.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut found: Vec<String> = OUTSIDE_DOCS.map(str::to_owned).into();
    for entry in std::fs::read_dir(root().join("docs")).expect("the folder can be read") {
        let name = entry.expect("the folder can be read").file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".md") {
            found.push(format!("docs/{name}"));
        }
    }
    found.sort();
    let read = |page: String| {
        let text = std::fs::read_to_string(root().join(&page)).expect("the page can be read");
        (page, text)
    };
    found.into_iter().map(read).collect()
}

/// Returns the anchor of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

/// Returns the targets of the links in `text`, outside code.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let ends = prose.flat_map(|part| part.split("](").skip(1));
    ends.filter_map(|rest| rest.split([')', ' ']).next()).collect()
}

/// Returns why the link from `page` is dead, if it is.
fn is_dead(page: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (path, place) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let file = if path.is_empty() { PathBuf::from(page) } else { folder.join(path) };
    let file = root().join(file);
    if !file.exists() {
        return Some(format!("there is no {path}"));
    }
    if place.is_empty() {
        return None;
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let has = text.lines().any(|line| line.starts_with('#') && anchor(line) == place);
    (!has).then(|| format!("{path} has no heading {place:?}"))
}

#[test]
fn no_link_is_dead() {
    let mut checked = 0;
    for (page, text) in pages() {
        for target in links(&text) {
            assert_eq!(is_dead(&page, target), None, "{page}: {target}");
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} links were seen");
}

/// Extensions of files in which a name may occur.
const SOURCES: [&str; 10] = ["rs", "py", "pyi", "sol", "toml", "sh", "c", "mjs", "json", "txt"];

/// Folders without files of this project.
const NOT_OURS: [&str; 6] = ["target", "node_modules", ".git", ".venv", "mutants.out", "artifacts"];

/// Folders of generated data.
const DATA: [&str; 2] = ["corpus", "regressions"];

/// Returns all files of this project, except those in folders named in `skipped`.
fn files(skipped: &[&str]) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![root()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            let is_skipped =
                path.file_name().is_some_and(|name| skipped.iter().any(|it| name == *it));
            match path.is_dir() {
                true if !is_skipped => folders.push(path),
                true => {}
                false => found.push(path),
            }
        }
    }
    found
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|it| endings.iter().any(|ending| it == *ending))
}

/// Returns the words of all source files, and the file names.
fn source_words() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let folders: Vec<&str> = NOT_OURS.iter().copied().chain(DATA).chain(["docs"]).collect();
    for path in files(&folders) {
        if has_ending(&path, &SOURCES) && !path.ends_with("reading.rs") {
            let text = std::fs::read_to_string(&path).expect("the file can be read");
            words.extend(parts(&text).map(str::to_owned));
        }
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        words.insert(name);
    }
    words
}

/// Returns the identifiers in `text`.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    parts.filter(|part| part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'))
}

/// Returns the first part of a name in code style that does not exist.
fn missing(name: &str, words: &BTreeSet<String>) -> Option<String> {
    // Commands, patterns and addresses are not names.
    let is_address = name.contains("://") || name.starts_with("0x");
    let is_other = is_address || name.contains([' ', '*', '<', '$']);
    if is_other
        || words.contains(name)
        || FOREIGN.iter().any(|it| name.trim_end_matches('/') == *it)
    {
        return None;
    }
    if let Some(flag) = name.strip_prefix("--") {
        let flag = flag.split('=').next().unwrap_or_default().replace('-', "_");
        return (!words.contains(&flag)).then(|| format!("--{flag}"));
    }
    if name.contains('/') {
        let path = name.trim_end_matches('/');
        let exists = BEGINNINGS.iter().any(|begin| root().join(begin).join(path).exists());
        let is_outside = ["../", "target/"].iter().any(|begin| path.starts_with(begin))
            || FOREIGN.iter().any(|it| path.starts_with(it));
        return (!exists && !is_outside).then(|| path.to_owned());
    }
    let is_known = |part: &&str| words.contains(*part) || FOREIGN.contains(part);
    parts(name).find(|part| !is_known(part)).map(str::to_owned)
}

#[test]
fn names_in_code_style_exist() {
    let words = source_words();
    let mut lost = Vec::new();
    let mut checked = 0;
    for (page, text) in pages().into_iter().filter(|(page, _)| page != CONFORMANCE) {
        for name in quoted(&text) {
            checked += 1;
            lost.extend(missing(name, &words).map(|part| format!("{page}: {part} of `{name}`")));
        }
    }
    assert_eq!(lost, Vec::<String>::new());
    assert!(checked > 1_000, "only {checked} names were seen");
}

#[test]
fn what_is_wrong_with_a_page_is_found() {
    assert_eq!(anchor("## The chain's pipeline"), "the-chains-pipeline");
    assert_eq!(links("[a](B.md#c) `x` ```\n[no](D.md)\n``` [e](../F)"), ["B.md#c", "../F"]);
    assert!(is_dead("docs/SHARDS.md", "GONE.md").is_some());
    assert!(is_dead("docs/SHARDS.md", "SEEDED_BUGS.md#gone").is_some());
    assert_eq!(is_dead("docs/SHARDS.md", "SEEDED_BUGS.md#the-shards"), None);
    let words = ["Protocol", "poll", "db_latency"].map(str::to_owned).into();
    for name in ["Protocol::poll", "--db-latency", "--db-latency=20us", "src/mv", "mv/chain.rs"] {
        assert_eq!(missing(name, &words), None, "{name}");
    }
    for name in ["Protocol::gone", "--gone", "src/gone.rs", "gone"] {
        assert!(missing(name, &words).is_some(), "{name}");
    }
}
