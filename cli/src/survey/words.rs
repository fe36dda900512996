//! A survey as tables for a terminal.

use super::{
    chain::Role,
    group::{ContractRow, Function, Group, Spread},
};
use crate::explain::{Axis, words};
use std::fmt::{self, Write};

/// Kinds and functions of a contract that are named, at most.
const NAMED: usize = 2;

/// How the bounds are spread, all blocks and by fork: `workers` is the number of the columns that have one.
#[must_use]
pub fn bounds(groups: &[Group], workers: usize) -> String {
    let mut text = String::new();
    let _ = bounds_in(&mut text, groups, workers);
    text
}

fn bounds_in(text: &mut String, groups: &[Group], workers: usize) -> fmt::Result {
    writeln!(
        text,
        "Times as fast as one transaction after the other, at most, by gas: median (first - third quartile)"
    )?;
    writeln!(
        text,
        "{:<16}{:>6}  {:<20}{:<20}{:<20}chain, {workers} workers",
        "fork", "blocks", "no conflicts", "late read", "conflict chain",
    )?;
    // All blocks come last: a total.
    for group in groups.iter().skip(1).chain(groups.first()) {
        let it = &group.speedups;
        writeln!(
            text,
            "{:<16}{:>6}  {:<20}{:<20}{:<20}{}",
            group.fork.as_deref().unwrap_or("all"),
            group.blocks,
            spread(it.no_conflicts),
            spread(it.late_read),
            spread(it.chain),
            spread(it.chain_on_workers)
        )?;
    }
    Ok(())
}

/// What Braid reaches, all blocks and by fork.
#[must_use]
pub fn reached(groups: &[Group], workers: usize) -> String {
    let mut text = String::new();
    let _ = reached_in(&mut text, groups, workers);
    text
}

fn reached_in(text: &mut String, groups: &[Group], workers: usize) -> fmt::Result {
    writeln!(
        text,
        "Times as fast as one transaction after the other, Braid: median (first - third quartile)"
    )?;
    writeln!(
        text,
        "{:<16}{:>6}  {:<28}measured here",
        "fork",
        "blocks",
        format!("virtual time, {workers} workers")
    )?;
    for group in groups.iter().skip(1).chain(groups.first()) {
        let it = &group.speedups;
        let (name, simulated) = (group.fork.as_deref().unwrap_or("all"), spread(it.simulated));
        writeln!(text, "{name:<16}{:>6}  {simulated:<28}{}", group.blocks, spread(it.measured))?;
    }
    Ok(())
}

fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |it| format!("{:.2} ({:.2}-{:.2})", it.median, it.first_quartile, it.third_quartile),
    )
}

/// What limits the blocks, all blocks and by fork.
#[must_use]
pub fn limits(groups: &[Group], workers: usize) -> String {
    let mut text = String::new();
    let _ = limits_in(&mut text, groups, workers);
    text
}

fn limits_in(text: &mut String, groups: &[Group], workers: usize) -> fmt::Result {
    writeln!(
        text,
        "What limits a block on {workers} workers: number of blocks (share of the gas)"
    )?;
    let [conflicts, longest, share] = ["conflicts", "longest transaction", "workers"];
    writeln!(text, "{:<16}{:>6}  {conflicts:<14}{longest:<21}{share}", "fork", "blocks")?;
    for group in groups.iter().skip(1).chain(groups.first()) {
        let name = group.fork.as_deref().unwrap_or("all");
        write!(text, "{name:<16}{:>6}", group.blocks)?;
        for (row, width) in group.limits.iter().zip([14, 21, 0]) {
            let cell = format!("{} ({:.0} %)", row.blocks, percent(row.gas, group.gas));
            write!(text, "  {cell:<width$}", width = width.max(2) - 2)?;
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    Ok(())
}

/// What the conflict chains of `group` wait for.
#[must_use]
pub fn kinds(group: &Group) -> String {
    let mut text = String::new();
    let _ = kinds_in(&mut text, group);
    text
}

fn kinds_in(text: &mut String, group: &Group) -> fmt::Result {
    let of = words::cost(Axis::Gas, group.chain);
    writeln!(
        text,
        "What the conflict chains wait for: gas of the transactions that wait there, of {of} on all chains"
    )?;
    writeln!(
        text,
        "{:<16}{:>11}{:>7}  {:<19}{:>12}{:>8}",
        "kind of place", "gas", "share", "and nowhere else", "transactions", "blocks"
    )?;
    for row in &group.kinds {
        let alone = format!(
            "{} ({:.0} %)",
            words::cost(Axis::Gas, row.alone),
            percent(row.alone, group.chain)
        );
        writeln!(
            text,
            "{:<16}{:>11}{:>5.0} %  {alone:<19}{:>12}{:>8}",
            row.kind.to_string(),
            words::cost(Axis::Gas, row.serialises),
            percent(row.serialises, group.chain),
            row.waits,
            row.blocks
        )?;
    }
    if group.kinds.is_empty() {
        writeln!(text, "nothing: no transaction waits for another one")?;
    }
    Ok(())
}

/// The `top` contracts at which the conflict chains of `group` cost most.
#[must_use]
pub fn contracts(group: &Group, top: usize) -> String {
    let mut text = String::new();
    let _ = contracts_in(&mut text, group, top);
    text
}

fn contracts_in(text: &mut String, group: &Group, top: usize) -> fmt::Result {
    let of = words::cost(Axis::Gas, group.chain);
    writeln!(
        text,
        "Contracts at which the conflict chains wait: gas of the transactions that wait there, of {of} on all chains"
    )?;
    writeln!(
        text,
        "    {:<43}{:>10}{:>7}  {:<17}{:>5}{:>7}  kinds; functions",
        "contract", "gas", "share", "and nowhere else", "txs", "blocks"
    )?;
    let contracts = group.accounts.iter().filter(|it| it.role == Role::Contract).take(top);
    for (index, row) in contracts.enumerate() {
        let alone = format!(
            "{} ({:.0} %)",
            words::cost(Axis::Gas, row.alone),
            percent(row.alone, group.chain)
        );
        writeln!(
            text,
            "{:>2}. {:<43}{:>10}{:>5.0} %  {alone:<17}{:>5}{:>7}  {}",
            index + 1,
            row.account.to_string(),
            words::cost(Axis::Gas, row.serialises),
            percent(row.serialises, group.chain),
            row.waits,
            row.blocks,
            what(row)
        )?;
    }
    Ok(())
}

/// Kinds and functions of a contract.
fn what(row: &ContractRow) -> String {
    let listed = |texts: Vec<String>| {
        let more = texts.len().saturating_sub(NAMED);
        let named = texts.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        if more == 0 { named } else { format!("{named}, {more} more") }
    };
    let kinds = listed(row.kinds.iter().map(ToString::to_string).collect());
    let functions = listed(row.functions.iter().map(name).collect());
    if functions.is_empty() { kinds } else { format!("{kinds}; {functions}") }
}

/// Name of a function without its parameters, or its selector.
fn name(function: &Function) -> String {
    let signature = function.signature.and_then(|it| it.split('(').next());
    signature
        .map_or_else(|| alloy_primitives::hex::encode_prefixed(function.selector), str::to_owned)
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
