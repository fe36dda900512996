//! Checks statements of pages about data and source.

use crate::reading::pages;
use crate::root;
use crate::tables::rows;

const NUMBERS: [&str; 15] = [
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen",
];

fn read(path: &str) -> String {
    let text = std::fs::read_to_string(root().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}")).replace('\n', " ")
}

#[test]
fn the_security_page_counts_the_attacks_that_miss_its_aims() {
    let page = read("docs/SECURITY.md");
    for (table, place) in
        [("attacks", "In virtual time"), ("attacks_clock", "By the clock, on two cores,")]
    {
        let rows = rows(table);
        let missed = rows.iter().filter(|row| row.last().is_none_or(|it| it != "yes")).count();
        let said = format!("{place} {} of the {}", NUMBERS[missed], NUMBERS[rows.len()]);
        assert!(page.contains(&said), "{table}: the page does not say: {said}");
    }
}

/// Only contributors have the folder of real blocks beside the project.
#[test]
fn pages_of_users_name_no_folder_that_users_lack() {
    for (page, text) in pages().into_iter().filter(|(page, _)| !page.ends_with("TESTING.md")) {
        assert!(!text.contains("../shared"), "{page}: say where block files come from");
    }
}

#[test]
fn the_page_has_the_value_of_each_threshold() {
    let page = std::fs::read_to_string(root().join("docs/PATHS.md")).expect("it is there");
    let source = read("src/thresholds.rs");
    let constants: Vec<_> = source.split(" const ").skip(1).collect();
    assert!(constants.len() > 45, "{} constants", constants.len());
    for constant in constants {
        let (name, after) = constant.split_once(':').expect("a type");
        let (_, value) = after.split_once(" = ").expect("a value");
        let (value, _) = value.split_once(';').expect("its end");
        let value = value.replace('_', ",");
        let row = page.lines().find(|line| line.ends_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/PATHS.md has no row for {name}"));
        let column = row.split('|').nth(2).expect("a value");
        let mut numbers = column.split(|c: char| !c.is_ascii_digit() && c != ',');
        let first = numbers.find(|number| !number.is_empty());
        let first = first.map(|number| number.trim_end_matches(','));
        assert_eq!(first, Some(&*value), "docs/PATHS.md: {name}");
    }
}

#[test]
fn the_timeline_tells_how_many_workers_may_run_what_may_meet() {
    let numbers = read("src/thresholds.rs");
    let (_, after) =
        numbers.split_once("const MAX_CONFLICTING_WORKERS: usize = ").expect("it is there");
    let (value, _) = after.split_once(';').expect("its end");
    let script = read("crates/cli/assets/report/timeline.js");
    assert!(script.contains(&format!("const meet = {value};")), "the script does not say {value}");
}
