//! Findings as a table.

use super::finding::{Conflict, Finding, Function};
use braid_terminal::counted;
use std::{
    collections::BTreeSet,
    fmt::{self, Write},
};

/// Maximum number of pairs of functions, of variables of a pair, and of lines of source that are
/// listed.
const LISTED: usize = 6;

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

fn one(text: &mut String, number: usize, finding: &Finding) -> fmt::Result {
    let Finding { contract, name, kind, conflicts, advice } = finding;
    let contract = name.as_ref().map_or(contract.to_string(), |name| format!("{name} {contract}"));
    let variables: BTreeSet<&str> = conflicts.iter().map(|it| it.variable.as_str()).collect();
    let what = match variables.first() {
        Some(variable) if variables.len() == 1 => (*variable).to_owned(),
        _ => counted(variables.len(), "variable"),
    };
    writeln!(text, "{number:>2}. {contract}: {what} ({kind})")?;
    let pairs = by_functions(conflicts);
    for ([one, other], conflicts) in pairs.iter().take(LISTED) {
        let with = if one == other { "itself".to_owned() } else { other.to_string() };
        let shown: Vec<String> = conflicts.iter().take(LISTED).map(|it| variable(it)).collect();
        let more = more(conflicts.len());
        writeln!(text, "    {one} with {with}: {}{more}", shown.join(", "))?;
    }
    if pairs.len() > LISTED {
        writeln!(text, "   {}", more(pairs.len()))?;
    }
    if let Some(Conflict { example, .. }) = conflicts.first() {
        let ([first, second], file) = (example.transactions, &example.file);
        writeln!(
            text,
            "    example: transactions {first} and {second} of {file}: {}",
            example.words
        )?;
    }
    let lines = conflicts.iter().flat_map(|it| it.lines.iter().map(|line| (&it.variable, line)));
    let lines: BTreeSet<_> = lines.collect();
    for (variable, line) in lines.iter().take(LISTED) {
        writeln!(text, "    {line} {variable}")?;
    }
    if lines.len() > LISTED {
        writeln!(text, "   {}", more(lines.len()))?;
    }
    writeln!(text, "    {advice}")
}

/// Groups conflicts by their two functions, in order of the first conflict.
fn by_functions(conflicts: &[Conflict]) -> Vec<(&[Function; 2], Vec<&Conflict>)> {
    let mut pairs: Vec<(&[Function; 2], Vec<&Conflict>)> = Vec::new();
    for conflict in conflicts {
        match pairs.iter_mut().find(|(functions, _)| **functions == conflict.functions) {
            Some((_, all)) => all.push(conflict),
            None => pairs.push((&conflict.functions, vec![conflict])),
        }
    }
    pairs
}

/// Names a variable with the number of pairs of transactions that conflict there.
fn variable(conflict: &Conflict) -> String {
    let Conflict { variable, pairs, locations, .. } = conflict;
    let keys = if *locations == 1 { String::new() } else { format!(" at {locations} keys") };
    let pairs = usize::try_from(*pairs).unwrap_or(usize::MAX);
    format!("{variable} ({}{keys})", counted(pairs, "pair"))
}

/// Says how many of `count` are not listed.
fn more(count: usize) -> String {
    match count.saturating_sub(LISTED) {
        0 => String::new(),
        others => format!(" and {others} more"),
    }
}
