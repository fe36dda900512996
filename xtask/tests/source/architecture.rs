//! Rules of the source that no compiler checks.
//!
//! 1. Imports go one way: `ids <- protocol`; `ids, sync <- mv <- worker, runtime, schedule <- evm
//!    <- executor <- alloy`.
//! 2. Only `sync` and the files in [`SYNC_EXCEPTIONS`] name locks, atomics, channels and loom.
//! 3. Only the Ethereum layer names revm and alloy.
//! 4. The source is ASCII.
//! 5. Files do not import each other in a cycle, and the rooms of `evm` import each other one way
//!    (`imports`): `fees <- bal <- exec <- plan <- block <- bundle <- engine <- drivers`.

use std::path::PathBuf;

/// Modules of the library, each with the modules that it may import.
const MAY_IMPORT: [(&str, &[&str]); 17] = [
    ("mutants", &[]),
    ("thresholds", &[]),
    ("ids", &[]),
    ("error", &["ids"]),
    ("sync", &[]),
    ("spans", &[]),
    ("panics", &[]),
    ("protocol", &["ids", "error", "thresholds"]),
    ("trace", &["sync"]),
    ("mv", &["ids", "sync", "trace"]),
    ("worker", &["ids", "error", "sync", "spans", "panics", "trace", "mv", "protocol"]),
    ("runtime", &["mutants", "ids", "error", "sync", "panics", "mv", "protocol", "worker"]),
    ("schedule", &["ids", "protocol", "thresholds"]),
    ("config", &["protocol", "thresholds"]),
    (
        "evm",
        &[
            "mutants",
            "ids",
            "error",
            "sync",
            "spans",
            "panics",
            "mv",
            "protocol",
            "worker",
            "runtime",
            "schedule",
            "config",
            "thresholds",
        ],
    ),
    ("executor", &["panics", "config", "evm", "runtime"]),
    (
        "alloy",
        &["mutants", "ids", "sync", "panics", "worker", "runtime", "config", "evm", "executor"],
    ),
];

/// Files outside `sync` that name its primitives, and why.
const SYNC_EXCEPTIONS: [(&str, &str); 1] =
    [("runtime/caller.rs", "crossbeam's `select!`, which loom's channel has no counterpart for")];

/// Paths that may name revm and alloy.
const ETHEREUM: [&str; 3] = ["evm/", "executor/", "alloy/"];

pub(crate) struct Source {
    /// Path below the root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Returns the first component of the path, without the extension.
    pub(crate) fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Returns the text before the unit tests.
    pub(crate) fn shipped(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// Returns whether the file is compiled only for tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.contains("loom_")
    }
}

pub(crate) fn sources(root: &str) -> Vec<Source> {
    let root = crate::root().join(root);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder can be read") {
            let path: PathBuf = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("the file can be read");
                let below = path.strip_prefix(&root).expect("it is below the root");
                found.push(Source { path: below.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(!found.is_empty(), "no source in {root:?}");
    found
}

/// Returns the lines that are not comments, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines.filter(|(_, line)| !line.starts_with("//"))
}

/// Returns the modules of the crate that a line names.
fn named_modules(line: &str) -> impl Iterator<Item = &str> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    line.match_indices("crate::").filter_map(move |(at, path)| {
        // `$crate::` and `braid_crate::` are different names.
        if line[..at].ends_with(|letter: char| is_word(letter) || letter == '$') {
            return None;
        }
        line[at + path.len()..].split(|letter| !is_word(letter)).next()
    })
}

#[test]
fn imports_go_one_way() {
    let mut checked = 0;
    for source in sources("src") {
        if source.path == "lib.rs" {
            continue;
        }
        let allowed = MAY_IMPORT.iter().find(|(module, _)| *module == source.module());
        let (module, allowed) =
            allowed.unwrap_or_else(|| panic!("{}: an unknown module", source.path));
        for (number, line) in code_lines(source.shipped()) {
            for named in named_modules(line) {
                let known = MAY_IMPORT.iter().any(|(module, _)| *module == named);
                // A capitalised name is a re-export of `lib.rs`, used in documentation.
                let fine = named == *module || allowed.contains(&named) || !known;
                // Loom models and unit tests combine whole engines.
                assert!(
                    fine || source.is_test(),
                    "src/{}:{number}: `{module}` must not import `{named}`",
                    source.path
                );
                checked += usize::from(known);
            }
        }
    }
    assert!(checked > 100, "only {checked} imports were seen");
}

#[test]
fn primitives_are_named_in_one_place() {
    const PRIMITIVES: [&str; 8] = [
        "std::sync::atomic",
        "std::sync::Mutex",
        "std::sync::RwLock",
        "std::sync::Condvar",
        "std::sync::mpsc",
        "crossbeam_channel",
        "loom::",
        "std::thread::park",
    ];
    let mut used: Vec<&str> = Vec::new();
    for source in sources("src") {
        if source.module() == "sync" || source.is_test() {
            continue;
        }
        for (number, line) in code_lines(source.shipped()) {
            let Some(primitive) = PRIMITIVES.iter().find(|name| line.contains(**name)) else {
                continue;
            };
            let exception = SYNC_EXCEPTIONS.iter().find(|(path, _)| source.path.starts_with(path));
            match exception {
                Some((path, _)) => used.push(path),
                None => panic!("src/{}:{number} names {primitive}", source.path),
            }
        }
    }
    for (path, why) in SYNC_EXCEPTIONS {
        assert!(used.contains(&path), "no longer an exception: {path} ({why})");
    }
}

#[test]
fn only_the_ethereum_layer_knows_ethereum() {
    for source in sources("src") {
        // `lib.rs` re-exports the Ethereum layer and has an example of it.
        let may = ETHEREUM.iter().any(|path| source.path.starts_with(path));
        if may || source.path == "lib.rs" {
            continue;
        }
        for (number, line) in code_lines(&source.text) {
            for name in ["revm", "alloy_"] {
                assert!(!line.contains(name), "src/{}:{number} names {name}", source.path);
            }
        }
    }
}

/// Folders of all Rust code.
const ROOTS: [&str; 8] = ["src", "tests", "crates", "examples", "fuzz", "lab", "models", "xtask"];

#[test]
fn the_source_is_ascii() {
    for root in ROOTS {
        for source in sources(root) {
            for (index, line) in source.text.lines().enumerate() {
                assert!(line.is_ascii(), "{root}/{}:{}: {line}", source.path, index + 1);
            }
        }
    }
}

#[test]
fn the_checks_see_what_they_are_for() {
    let named: Vec<&str> =
        named_modules("use crate::mv::{A}; $crate::evm::B; crate::worker").collect();
    assert_eq!(named, ["mv", "worker"]);
    assert_eq!(code_lines("// no\nyes // no").collect::<Vec<_>>(), [(2, "yes // no")]);
}
