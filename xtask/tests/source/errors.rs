//! Checks that each error enum has a test that produces every variant. `braid_blocks::errors`
//! compares the variants with the source; the test here finds error enums without such a test.

use crate::architecture::{Source, sources};

/// Sources of the crates that users call or run, each with the tests of its errors.
const CRATES: [(&str, &str); 7] = [
    ("src", "tests"),
    ("crates/chain/src", "crates/chain/tests"),
    // Errors of the library are produced in unit tests, errors of the tool in integration tests.
    ("crates/node/src", "crates/node"),
    ("crates/cli/src", "crates/cli/tests"),
    ("crates/blocks/src", "crates/blocks/src"),
    ("lab/testkit/src", "lab/testkit/src"),
    ("lab/tool/src", "lab/tool/tests"),
];

/// Errors that users cannot meet, and why.
const ELSEWHERE: [(&str, &str); 4] = [
    ("Invariant", "a rule that is broken: seeded bugs do that"),
    ("SimulationError", "of the feature `testing`"),
    ("NotReady", "a state that /readyz tells, and passes"),
    ("SustainError", "of a load that the tool itself makes"),
];

/// Returns the public enums that derive `Error`.
fn errors(source: &Source) -> impl Iterator<Item = &str> {
    source.text.match_indices("pub enum ").filter_map(|(at, start)| {
        let above = source.text[..at].lines().rev();
        let mut attributes = above.take_while(|line| line.starts_with(['#', '/']));
        let is_error = attributes.any(|it| it.starts_with("#[derive(") && it.contains("Error"));
        let name = source.text[at + start.len()..].split(|it: char| !it.is_alphanumeric()).next();
        name.filter(|_| is_error)
    })
}

#[test]
fn each_variant_of_an_error_is_made_by_a_test() {
    let mut named = Vec::new();
    for (code, tests) in CRATES {
        let tests = sources(tests);
        let checks =
            |it: &&Source| ["has_all_of(", "all_help("].iter().any(|call| it.text.contains(call));
        let tests: Vec<_> = tests.iter().filter(checks).collect();
        for source in sources(code) {
            for name in errors(&source) {
                let quoted = format!("\"{name}\"");
                let is_made = tests.iter().any(|it| it.text.contains(&quoted));
                let is_listed = ELSEWHERE.iter().any(|(it, _)| *it == name);
                assert!(is_made || is_listed, "{code}/{}: no test makes {name}", source.path);
                named.push(name.to_owned());
            }
        }
    }
    assert!(named.len() > 20, "only {named:?} were seen");
    for (name, why) in ELSEWHERE {
        assert!(named.iter().any(|it| it == name), "no longer an error: {name} ({why})");
    }
}

#[test]
fn errors_are_found_by_their_attributes() {
    let text = "/// A.\n#[derive(Debug, thiserror::Error)]\n#[non_exhaustive]\npub enum A<E> {\n}\n\n#[derive(Debug)]\npub enum B {\n}\n";
    let source = Source { path: String::new(), text: text.to_owned() };
    assert_eq!(errors(&source).collect::<Vec<_>>(), ["A"]);
}
