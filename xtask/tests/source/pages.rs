//! Checks the pages about the protocol against the source: names in a page exist, and the page
//! lists everything that it must.

use crate::root;
use crate::tables::rows;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn read(path: &str) -> String {
    let text = std::fs::read_to_string(root().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Environment variable that writes rendered tables into their pages instead of comparing them.
const WRITES: &str = "BRAID_WRITE_PAGES";

/// Returns whether pages are to be written.
pub(crate) fn writes() -> bool {
    std::env::var_os(WRITES).is_some()
}

/// Checks that `page` has `table` between its marks called `name`.
pub(crate) fn is_on_page(page: &str, name: &str, table: &str) {
    let text = read(page);
    let [begin, end] = ["begin", "end"].map(|it| format!("<!-- {name}: {it} -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the page has the mark");
    let (found, after) = rest.split_once(&end).expect("the page has the second mark");
    if writes() {
        let written = format!("{before}{begin}{table}{end}{after}");
        std::fs::write(root().join(page), written).expect("the page can be written");
    } else {
        assert_eq!(found, table, "{page}: run this test with {WRITES}=1");
    }
}

/// Returns all Rust files below these folders, with their texts.
fn files(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("the file can be read");
                found.push((path, text));
            }
        }
    }
    found
}

/// Returns the text between backticks.
pub(crate) fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

/// Returns the variants of a public enum, recognised by their indentation.
fn variants(path: &str, name: &str) -> Vec<String> {
    let text = read(path);
    let after = text.split_once(&format!("pub enum {name} {{")).expect(name).1;
    let body = after.split("\n}").next().expect("an enum ends");
    let is_name = |line: &&str| {
        line.strip_prefix("    ").is_some_and(|rest| rest.starts_with(|c: char| c.is_uppercase()))
    };
    let names = body.lines().filter(is_name);
    let word =
        |line: &str| line.trim().split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned);
    let names: Vec<String> = names.filter_map(word).collect();
    assert!(!names.is_empty(), "{path}: {name} has no variants");
    names
}

#[test]
fn the_protocol_page_lists_what_there_is() {
    let page = read("docs/PROTOCOL.md");
    let listed: BTreeSet<String> = quoted(&page).map(str::to_owned).collect();
    for (path, name) in [
        ("src/protocol/events.rs", "Event"),
        ("src/protocol/events.rs", "Command"),
        ("src/protocol/slot.rs", "Status"),
        ("src/error.rs", "Invariant"),
    ] {
        for variant in variants(path, name) {
            assert!(listed.contains(&variant), "{name}::{variant} is not on the page");
        }
    }
    // Undo the line breaks of the page.
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let properties = read("models/src/properties.rs");
    let named = properties.split("Property::always(").skip(1);
    let mut count = 0;
    for property in named.filter_map(|after| after.split('"').nth(1)) {
        assert!(page.contains(&format!("\"{property}\"")), "no model property {property:?}");
        count += 1;
    }
    assert!(count > 0, "no property was seen");
}

/// Returns the first two cells of each row.
fn numbered(table: &str) -> Vec<String> {
    rows(table).iter().map(|row| format!("{} {}", row[0], row[1])).collect()
}

/// Rules without a number that a seeded bug of the executor may break.
const OTHER_RULES: [&str; 17] = [
    "progress",
    "window",
    "admission",
    "capacity",
    "stamps",
    "tombstones",
    "hints",
    "publish",
    "claims",
    "bundle",
    "sequential",
    "segments",
    "keccak",
    "view",
    "lists",
    "replay",
    "declared",
];

/// Each invariant has a row, each seeded bug breaks a known rule, and each rule that can be broken
/// has a bug.
#[test]
fn every_seeded_bug_breaks_a_rule_of_the_page() {
    let (page, bugs) = (read("docs/PROTOCOL.md"), rows("seeded_bugs"));
    let invariants: Vec<String> = (1..=15).map(|number| format!("I{number}")).collect();
    for rule in &invariants {
        let begin = format!("| {rule} |");
        assert_eq!(page.lines().filter(|line| line.starts_with(&begin)).count(), 1, "{rule}");
        // I1 follows from other rules, and no seeded bug makes a result depend on time (I10).
        let is_broken = bugs.iter().any(|bug| bug[1] == *rule);
        assert!(is_broken || ["I1", "I10"].contains(&rule.as_str()), "no bug breaks {rule}");
    }
    for bug in &bugs {
        let rule = &bug[1];
        let is_known = invariants.contains(rule) || OTHER_RULES.contains(&rule.as_str());
        assert!(is_known, "{}: there is no rule {rule:?}", bug[0]);
    }
}

/// The table of the chain's pipeline lists each of its seeded bugs once, numbered consecutively.
#[test]
fn the_pipelines_seeded_bugs_are_listed() {
    let source = read("crates/chain/src/pipeline/properties.rs");
    let listed = numbered("pipeline_bugs");
    let bugs = source.split("(Bug::").skip(1).filter_map(|bug| bug.split(',').next());
    let bugs = bugs.zip(1..).map(|(bug, number)| format!("P{number} `{bug}`"));
    assert_eq!(listed, bugs.collect::<Vec<_>>());
    assert!(!listed.is_empty());
}

/// The table of the pool lists each of its seeded bugs once, numbered consecutively.
#[test]
fn the_pools_seeded_bugs_are_listed() {
    let listed = numbered("pool_bugs");
    let bugs = chain_bugs("POOL").into_iter().zip(1..);
    let bugs = bugs.map(|(bug, number)| format!("A{number} `{bug}`"));
    assert_eq!(listed, bugs.collect::<Vec<_>>());
    assert!(!listed.is_empty());
}

/// Returns the names in a list of the chain's seeded bugs.
fn chain_bugs(list: &str) -> Vec<String> {
    listed_bugs("crates/chain/src/mutants.rs", list)
}

/// Returns the names in a list of the seeded bugs in the file `path`.
fn listed_bugs(path: &str, list: &str) -> Vec<String> {
    let source = read(path);
    let after = source.split_once(&format!("const {list}: ")).expect(list).1;
    let list = after.split(';').nth(1).expect("a list ends");
    let names = list.split("Self::").skip(1).filter_map(|bug| bug.split([',', ']']).next());
    names.map(str::to_owned).collect()
}

/// The table of the fuzz targets lists each seeded bug of the chain and the node once, numbered
/// consecutively.
#[test]
fn the_fuzz_targets_seeded_bugs_are_listed() {
    let listed = numbered("fuzzed_bugs");
    let of_chain = ["RLP", "GENESIS", "CHAIN"].iter().flat_map(|list| chain_bugs(list));
    let of_node = listed_bugs("crates/node/src/mutants.rs", "ALL");
    assert_eq!(of_node, variants("crates/node/src/mutants.rs", "Bug"));
    let bugs = of_chain.chain(of_node).zip(1..);
    let bugs = bugs.map(|(bug, number)| format!("F{number} `{bug}`"));
    assert_eq!(listed, bugs.collect::<Vec<_>>());
    assert!(!listed.is_empty());
}

/// The table of the shards lists each of their seeded bugs once, numbered consecutively.
#[test]
fn the_shards_seeded_bugs_are_listed() {
    let (listed, bugs) = (numbered("shard_bugs"), variants("lab/shards/src/mutants.rs", "Bug"));
    let bugs = bugs.iter().zip(1..);
    let bugs = bugs.map(|(bug, number)| format!("S{number} `{bug}`"));
    assert_eq!(listed, bugs.collect::<Vec<_>>());
    assert!(!listed.is_empty());
}

/// DESIGN.md says that the source has weaker memory orderings for hints only, which are one type.
#[test]
fn only_hints_have_a_weaker_ordering() {
    for (path, text) in files(&["src"]) {
        // Only loom builds these files.
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("loom_")) {
            continue;
        }
        let hints = if path.ends_with("src/sync/mod.rs") { 2 } else { 0 };
        for (ordering, expected) in
            [("Relaxed", hints), ("Acquire", 0), ("Release", 0), ("AcqRel", 0)]
        {
            let found = text.matches(&format!("Ordering::{ordering}")).count();
            assert_eq!(found, expected, "{path:?}: {ordering}");
        }
    }
}

/// Returns the code blocks in `language` on a page.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    let after = page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    after.map(str::trim_end).collect()
}

/// Languages of blocks that are not compiled, or that other tests run:
/// `crates/cli/tests/documented.rs` and `crates/python/tests`.
const OTHERS: [&str; 6] = ["", "sh", "bash", "text", "toml", "yaml"];

/// All code on a page is compiled verbatim: Rust in an example that the CI runs, Solidity in a
/// contract. `crates/python/tests` runs the Python, and `crates/node/src/server/tests/mod.rs` checks
/// the nginx configuration.
#[test]
fn the_code_in_the_pages_is_in_an_example() {
    let examples = files(&["examples", "crates/chain/examples"]);
    let contracts =
        std::fs::read_dir(root().join("lab/contracts/src")).expect("the folder can be read");
    let contracts = contracts.map(|file| file.expect("it can be read").path());
    let contracts: Vec<String> =
        contracts.map(|path| std::fs::read_to_string(path).expect("a contract")).collect();
    // A page shows parts of a contract without its indentation.
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let contracts: Vec<String> = contracts.iter().map(|text| joined(text)).collect();
    let mut checked = 0;
    for (page, text) in crate::reading::pages() {
        for code in blocks(&text, "rust") {
            let is_there = examples.iter().any(|(_, text)| text.contains(code));
            assert!(is_there, "{page}: no example has this code as it stands:\n{code}");
            checked += 1;
        }
        for code in blocks(&text, "solidity") {
            let is_there = contracts.iter().any(|text| text.contains(&joined(code)));
            assert!(is_there, "{page}: no contract has this code:\n{code}");
            checked += 1;
        }
        let others = text.lines().filter_map(|line| line.strip_prefix("```"));
        let known = |language: &str| {
            OTHERS.contains(&language)
                || ["rust", "solidity", "python", "nginx"].contains(&language)
        };
        let unknown = others.into_iter().find(|language| !known(language));
        assert_eq!(unknown, None, "{page}: nothing compiles or runs this");
    }
    assert!(checked > 10, "only {checked} pieces of code were seen");
}
