//! Numbers that choose how a block runs stand in one file, and on one page: no driver and no plan
//! has a constant of its own for it.

use super::architecture::sources;
use super::pages::is_on_page;

const TABLE: &str = "evm/plan/thresholds.rs";
const PAGE: &str = "docs/THRESHOLDS.md";

/// Numbers of drivers and plans that stand elsewhere, and why.
const ELSEWHERE: [(&str, &[&str], &str); 10] = [
    ("evm/closing.rs", &["WORTH_SHARING", "WORTH_WAKING", "BUCKETS_PER_WORKER"], "a block's end"),
    ("evm/worker_pool.rs", &["IN_TIME", "LOCATIONS_PER_TRANSACTION"], "a wait and a reservation"),
    ("evm/bundle_thread.rs", &["BATCHES", "LARGEST"], "what is handed over at once"),
    ("evm/plan/choose.rs", &["FORCED", "FORCED_TOGETHER"], "policies of tests"),
    ("evm/plan/pace.rs", &["FORCED_ROUND", "FORCED_ROUNDS"], "policies of tests"),
    ("evm/plan/progress.rs", &["NEIGHBOURS_TURN", "GROUPS_TURN"], "policies of tests"),
    ("evm/plan/tx.rs", &["PAYMENT_GAS"], "what the protocol says"),
    ("evm/pull.rs", &["ROUND", "CHEAPEST"], "part of what a built block is"),
    ("evm/session.rs", &["IN_ORDER_AHEAD"], "a reservation"),
    ("evm/stretch.rs", &["PUBLISHED_TOGETHER"], "a claim"),
];

/// A constant: its name, its value, what is said of it.
type Constant = (String, String, String);

fn constants(text: &str) -> Vec<Constant> {
    let mut found = Vec::new();
    let mut said = String::new();
    for line in text.lines() {
        if let Some(words) = line.trim().strip_prefix("///") {
            said = format!("{said} {}", words.trim());
            continue;
        }
        let declared = line.split_once("const ").and_then(|(_, rest)| rest.split_once(": "));
        if let Some((name, rest)) = declared
            && let Some((_, value)) = rest.split_once(" = ")
        {
            let value = value.trim_end_matches(';').replace('_', ",");
            found.push((name.to_owned(), value, said.trim().to_owned()));
        }
        said.clear();
    }
    found
}

#[test]
fn the_page_has_every_threshold() {
    let source = sources("src").into_iter().find(|source| source.path == TABLE);
    let constants = constants(&source.expect("the table is there").text);
    assert!((10..=16).contains(&constants.len()), "{} constants", constants.len());
    let mut table = "| number | value | unit, meaning, what set it |\n|---|---|---|\n".to_owned();
    for (name, value, said) in &constants {
        assert!(!said.is_empty(), "{TABLE}: {name} says nothing");
        let said = said.replace("[`", "`").replace("`]", "`");
        table.push_str(&format!("| `{name}` | {value} | {said} |\n"));
    }
    is_on_page(PAGE, "thresholds", &table);
}

#[test]
fn the_page_tells_how_many_numbers_stand_elsewhere() {
    let is_number = |value: &str| value.starts_with(|first: char| first.is_ascii_digit());
    let sources = sources("src");
    let others = sources.iter().filter(|it| it.path.starts_with("evm/") && it.path != TABLE);
    let found = others.filter(|it| !it.is_test()).flat_map(|it| constants(it.shipped()));
    let count = found.filter(|(_, value, _)| is_number(value)).count();
    assert!((41..=59).contains(&count), "{PAGE} says more than forty: there are {count}");
}

#[test]
fn no_number_steers_from_elsewhere() {
    let is_driver = |path: &str| {
        let below = path.strip_prefix("evm/");
        path != TABLE && below.is_some_and(|it| !it.contains('/') || it.starts_with("plan/"))
    };
    let mut seen = 0;
    for source in sources("src").iter().filter(|source| is_driver(&source.path)) {
        let allowed = ELSEWHERE.iter().find(|(path, ..)| *path == source.path);
        for (name, value, _) in constants(source.shipped()) {
            let is_number = value.starts_with(|first: char| first.is_ascii_digit() || first == '(');
            let is_allowed = allowed.is_some_and(|(_, names, _)| names.contains(&&*name));
            // The simulator's stacks are memory.
            let fine = !is_number || is_allowed || name == "EVM_STACK";
            assert!(fine, "src/{}: {name} belongs into {TABLE}", source.path);
            seen += usize::from(is_allowed);
        }
    }
    let expected: usize = ELSEWHERE.iter().map(|(_, names, _)| names.len()).sum();
    assert_eq!(seen, expected, "one of ELSEWHERE is gone");
}

#[test]
fn constants_are_seen() {
    let text =
        "/// Gas.\n/// Much.\npub(super) const MOST: u64 = 2_000;\nconst PAIR: (u8, u8) = (1, 2);";
    let constant = |name: &str, value: &str, said: &str| (name.into(), value.into(), said.into());
    assert_eq!(
        constants(text),
        [constant("MOST", "2,000", "Gas. Much."), constant("PAIR", "(1, 2)", "")]
    );
}
