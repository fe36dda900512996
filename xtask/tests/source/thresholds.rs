//! The page of thresholds is rendered from their file.

use super::architecture::sources;
use super::pages::is_on_page;

const TABLE: &str = "evm/plan/thresholds.rs";
const PAGE: &str = "docs/THRESHOLDS.md";

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
    let mut table = "| number | value | unit, meaning, what set it |\n|---|---|---|\n".to_owned();
    for (name, value, said) in &constants {
        assert!(!said.is_empty(), "{TABLE}: {name} says nothing");
        let said = said.replace("[`", "`").replace("`]", "`");
        table.push_str(&format!("| `{name}` | {value} | {said} |\n"));
    }
    is_on_page(PAGE, "thresholds", &table);
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
