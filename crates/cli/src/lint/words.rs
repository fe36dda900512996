//! Findings as a table.

use super::finding::Finding;
use std::fmt::Write;

/// Maximum number of lines of source that are listed.
const LINES: usize = 4;

/// Renders the first `top` findings.
#[must_use]
pub fn table(findings: &[Finding], top: usize) -> String {
    let mut text = String::new();
    for (index, finding) in findings.iter().take(top).enumerate() {
        // Writing to a string cannot fail.
        let _ = one(&mut text, index + 1, finding);
    }
    text
}

fn one(text: &mut String, number: usize, finding: &Finding) -> std::fmt::Result {
    let Finding { contract, name, variable, kind, functions: [one, other], pairs, places, .. } =
        finding;
    let contract = name.as_ref().map_or(contract.to_string(), |name| format!("{name} {contract}"));
    let with = if one == other { "itself".to_owned() } else { other.to_string() };
    writeln!(text, "{number:>2}. {one} with {with}: {variable} ({kind})")?;
    let count = |count: u64, what: &str| match count {
        1 => format!("one {what}"),
        _ => format!("{count} {what}s"),
    };
    let places = u64::try_from(*places).unwrap_or(u64::MAX);
    writeln!(
        text,
        "    in {contract}: {} of transactions at {}",
        count(*pairs, "pair"),
        count(places, "location")
    )?;
    let [first, second] = finding.example.transactions;
    writeln!(
        text,
        "    for example transactions {first} and {second} of {}: {}",
        finding.example.file, finding.example.words
    )?;
    for line in finding.lines.iter().take(LINES) {
        writeln!(text, "    {line}")?;
    }
    writeln!(text, "    {}", finding.advice)
}
