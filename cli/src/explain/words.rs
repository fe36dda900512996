//! An explanation in plain words.

use super::{
    bounds::{Axis, Bounds, OnWorkers, ratio},
    explanation::{Changed, Costs, Explanation, Question},
};
use std::fmt::Write;

/// Transactions of the critical path that are named, at most.
const NAMED: usize = 12;

/// Costs as people read them.
#[must_use]
pub fn cost(axis: Axis, cost: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let (thousands, millions) = (cost as f64 / 1e3, cost as f64 / 1e6);
    let (small, large) = match axis {
        Axis::Gas => ("kgas", "Mgas"),
        Axis::Time => ("us", "ms"),
    };
    let (number, unit) = if millions < 1.0 { (thousands, small) } else { (millions, large) };
    let digits = match number {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{number:.digits$} {unit}")
}

/// The whole text about one block.
#[must_use]
pub fn block(explanation: &Explanation, question: &Question) -> String {
    let mut text = String::new();
    let _ = bounds(&mut text, explanation, question);
    text
}

fn bounds(text: &mut String, explanation: &Explanation, question: &Question) -> std::fmt::Result {
    let all = [(Axis::Gas, Some(&explanation.gas)), (Axis::Time, explanation.time.as_ref())];
    for (axis, costs) in all {
        let Some(costs) = costs else { continue };
        table(text, axis, &costs.bounds)?;
    }
    let (axis, costs) = explanation.ordered_by(question.axis);
    path(text, axis, costs)?;
    if let Some(changed) = &explanation.changed {
        change(text, explanation, changed, question)?;
    }
    if !explanation.reads_fees.is_empty() {
        writeln!(
            text,
            "{} look at the beneficiary's balance, and with it at the fees of all before them; the bounds leave that out.",
            transactions(&explanation.reads_fees)
        )?;
    }
    Ok(())
}

/// One bound of a row.
type Column = fn(&OnWorkers) -> u64;

/// The four bounds.
fn table(text: &mut String, axis: Axis, bounds: &Bounds) -> std::fmt::Result {
    let Bounds { work, longest, chain, late_read, workers } = bounds;
    let name = match axis {
        Axis::Gas => "in gas",
        Axis::Time => "in time",
    };
    write!(text, "{name:<24}{:>11}{:>9}", cost(axis, *work), "any")?;
    for on in workers.iter().filter(|on| on.workers > 1) {
        write!(text, "{:>7}", on.workers)?;
    }
    writeln!(text, " workers")?;
    let rows: [(&str, u64, Column); 3] = [
        ("  no conflicts", *longest, |on| on.no_conflicts),
        ("  late read", *late_read, |on| on.late_read),
        ("  conflict chain", *chain, |on| on.chain),
    ];
    for (name, span, of) in rows {
        write!(text, "{name:<24}{:>11}{:>8.2}x", cost(axis, span), ratio(*work, span))?;
        for on in workers.iter().filter(|on| on.workers > 1) {
            write!(text, "{:>6.2}x", ratio(*work, of(on)))?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn path(text: &mut String, axis: Axis, costs: &Costs) -> std::fmt::Result {
    let steps: Vec<usize> = costs.critical_path.iter().map(|step| step.transaction).collect();
    match steps.len() {
        0 | 1 => writeln!(text, "No transaction waits for another one."),
        count => writeln!(
            text,
            "The longest conflict chain has {count} transactions and costs {} of {}: {}.",
            cost(axis, costs.bounds.chain),
            cost(axis, costs.bounds.work),
            listed(&steps, " -> ")
        ),
    }
}

fn change(
    text: &mut String,
    explanation: &Explanation,
    changed: &Changed,
    question: &Question,
) -> std::fmt::Result {
    let without = changed.what_if.without.iter().map(|it| format!("without {it}"));
    let sharded = changed.what_if.sharded.iter().map(|it| format!("with {it} for each sender"));
    let what: Vec<String> = without.chain(sharded).collect();
    writeln!(text, "{}:", capital(&what.join(", ")))?;
    let pairs = [
        (Axis::Gas, Some(&explanation.gas), Some(&changed.gas)),
        (Axis::Time, explanation.time.as_ref(), changed.time.as_ref()),
    ];
    for (axis, before, after) in pairs {
        let (Some(before), Some(after)) = (before, after) else { continue };
        writeln!(text, "  {}", gain(axis, &before.bounds, &after.bounds, question.workers))?;
    }
    for target in &changed.untouched {
        writeln!(text, "  no transaction touches {target}")?;
    }
    Ok(())
}

/// What a change frees.
#[must_use]
pub fn gain(axis: Axis, before: &Bounds, after: &Bounds, workers: usize) -> String {
    let on = |bounds: &Bounds| {
        let on = bounds.workers.iter().find(|on| on.workers == workers);
        ratio(bounds.work, on.map_or(bounds.work, |on| on.chain))
    };
    format!(
        "critical path {} -> {}, bound on {workers} workers {:.2}x -> {:.2}x",
        cost(axis, before.chain),
        cost(axis, after.chain),
        on(before),
        on(after)
    )
}

fn transactions(indices: &[usize]) -> String {
    let noun = if indices.len() == 1 { "Transaction" } else { "Transactions" };
    format!("{noun} {}", listed(indices, ", "))
}

/// The first ones, and how many more there are.
fn listed(indices: &[usize], between: &str) -> String {
    let named: Vec<String> = indices.iter().take(NAMED).map(ToString::to_string).collect();
    let more = indices.len().saturating_sub(NAMED);
    let rest = if more == 0 { String::new() } else { format!("{between}... ({more} more)") };
    named.join(between) + &rest
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
