//! An explanation as text.

use super::{
    bounds::{Axis, Bounds, OnWorkers, ratio},
    conflicts::{Conflict, Conflicts, Gain},
    decode::Kind,
    explanation::{Changed, Costs, Explanation, Question},
};
use std::fmt::Write;

/// Maximum number of transactions of the conflict chain that are listed.
const NAMED: usize = 12;
/// Maximum number of functions and contracts that are listed.
const CALLS: usize = 3;
/// Maximum number of lines of source that are listed.
const LINES: usize = 4;

/// Note about a chain on which a transaction waits only for a balance.
const PASSABLE: &str = "This bound assumes that a payment reads the recipient's balance. Braid can be faster, because it \
                        adds payments without reading the balance.";

/// Formats a cost for people.
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

/// Returns the full text about one block.
#[must_use]
pub fn block(explanation: &Explanation, question: &Question) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = bounds(&mut text, explanation, question);
    let _ = in_the_way(&mut text, explanation, question);
    text
}

fn bounds(text: &mut String, explanation: &Explanation, question: &Question) -> std::fmt::Result {
    let all = [(Axis::Gas, Some(&explanation.gas)), (Axis::Time, explanation.time.as_ref())];
    for (axis, costs) in all {
        let Some(costs) = costs else { continue };
        table(text, axis, &costs.bounds)?;
    }
    let (axis, costs) = explanation.ordered_by(question.axis);
    path(text, axis, costs, explanation.conflicts.is_empty())?;
    if let Some(changed) = &explanation.changed {
        change(text, explanation, changed, question)?;
    }
    if !explanation.reads_fees.is_empty() {
        let readers = transactions(&explanation.reads_fees);
        let is_one = explanation.reads_fees.len() == 1;
        writeln!(
            text,
            "{} the beneficiary's balance, and so {} on the fees of all earlier transactions; the \
             bounds ignore this.",
            if is_one { format!("{readers} reads") } else { format!("{readers} read") },
            if is_one { "depends" } else { "depend" },
        )?;
    }
    Ok(())
}

/// A column of bounds.
type Column = fn(&OnWorkers) -> u64;

/// Writes the four bounds.
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

fn path(text: &mut String, axis: Axis, costs: &Costs, is_free: bool) -> std::fmt::Result {
    let steps: Vec<usize> = costs.conflict_chain.iter().map(|step| step.transaction).collect();
    match steps.len() {
        0 | 1 if is_free => {
            writeln!(text, "No transaction waits for another.")
        }
        0 | 1 => writeln!(
            text,
            "Conflicts do not limit this block: no conflict chain costs more than the longest transaction."
        ),
        count => {
            writeln!(
                text,
                "The longest conflict chain has {count} transactions and costs {} of {}: {}.",
                cost(axis, costs.bounds.chain),
                cost(axis, costs.bounds.work),
                listed(&steps, " -> ")
            )?;
            if costs.has_credits() {
                writeln!(text, "{PASSABLE}")?;
            }
            Ok(())
        }
    }
}

fn change(
    text: &mut String,
    explanation: &Explanation,
    changed: &Changed,
    question: &Question,
) -> std::fmt::Result {
    let without = changed.what_if.without.iter().map(|it| format!("without {it}"));
    let sharded = changed.what_if.sharded.iter();
    let sharded = sharded.map(|it| format!("with a copy of {it} for each sender"));
    let what: Vec<String> = without.chain(sharded).collect();
    writeln!(text, "{}:", capital(&what.join(", ")))?;
    let pairs = [
        (Axis::Gas, Some(&explanation.gas), Some(&changed.gas)),
        (Axis::Time, explanation.time.as_ref(), changed.time.as_ref()),
    ];
    for (axis, before, after) in pairs {
        let (Some(before), Some(after)) = (before, after) else { continue };
        let after = as_it_is(&after.bounds, question.workers);
        writeln!(text, "  {}", gain(axis, &before.bounds, after, question.workers))?;
    }
    for target in &changed.untouched {
        writeln!(text, "  no transaction accesses {target}")?;
    }
    Ok(())
}

/// Returns chain and span of the unchanged block.
fn as_it_is(bounds: &Bounds, workers: usize) -> Gain {
    let on = bounds.workers.iter().find(|on| on.workers == workers);
    Gain { chain: bounds.chain, on_workers: on.map_or(bounds.work, |on| on.chain) }
}

/// Describes the gain of a change over these bounds.
fn gain(axis: Axis, bounds: &Bounds, after: Gain, workers: usize) -> String {
    let before = as_it_is(bounds, workers);
    if before == after {
        return "nothing changes".to_owned();
    }
    let shown = |gain: Gain| {
        let bound = format!("{:.2}x", ratio(bounds.work, gain.on_workers));
        (cost(axis, gain.chain), bound)
    };
    let ((chain, bound), (new_chain, new_bound)) = (shown(before), shown(after));
    if (&chain, &bound) == (&new_chain, &new_bound) {
        return "almost no change".to_owned();
    }
    format!(
        "conflict chain {chain} -> {new_chain}, bound on {workers} workers {bound} -> {new_bound}"
    )
}

/// Writes the most expensive locations.
fn in_the_way(
    text: &mut String,
    explanation: &Explanation,
    question: &Question,
) -> std::fmt::Result {
    let Conflicts { first, others } = &explanation.conflicts;
    let (axis, costs) = explanation.ordered_by(question.axis);
    if first.is_empty() {
        return Ok(());
    }
    match costs.conflict_chain.len() {
        0 | 1 => writeln!(text, "Shorter chains, which do not limit the block:")?,
        _ => writeln!(text, "What limits the block:")?,
    }
    for (index, conflict) in first.iter().enumerate() {
        writeln!(text, "{:>2}. {}", index + 1, conflict.words)?;
        writeln!(text, "    {}", location_line(axis, conflict))?;
        writeln!(text, "    {}", who_line(conflict))?;
        for line in conflict.lines.iter().take(LINES) {
            writeln!(text, "    {line}")?;
        }
        if !conflict.lines.is_empty() {
            writeln!(text, "    {}", conflict.kind.advice())?;
        }
        let before = as_it_is(&costs.bounds, question.workers);
        let gain = |after| gain(axis, &costs.bounds, after, question.workers);
        let without = match (before == conflict.without, conflict.waits) {
            (false, _) => gain(conflict.without),
            (true, 0) if costs.conflict_chain.len() < 2 => {
                "no gain: conflicts do not limit this block".to_owned()
            }
            (true, 0) => "no gain: another chain is longer".to_owned(),
            (true, _) => {
                "no gain alone: its transactions still wait elsewhere, or another chain is as long"
                    .to_owned()
            }
        };
        writeln!(text, "    without it: {without}")?;
        if index > 0 && conflict.without_those_above != conflict.without {
            writeln!(
                text,
                "    without it and the entries above: {}",
                gain(conflict.without_those_above)
            )?;
        }
        if let Some(sharded) = conflict.sharded.filter(|_| conflict.kind == Kind::Counter) {
            writeln!(text, "    with one counter per sender: {}", gain(sharded))?;
        }
    }
    let all = first.len() + others;
    match others {
        0 => Ok(()),
        1 => writeln!(text, "Transactions wait at one more location; --top {all} lists it."),
        _ => writeln!(text, "Transactions wait at {others} more locations; --top {all} lists all."),
    }
}

/// Describes a location and its cost.
fn location_line(axis: Axis, conflict: &Conflict) -> String {
    let Conflict { locations, chain_cost, waits, own_chain, .. } = conflict;
    let first = locations.first().map_or_else(String::new, ToString::to_string);
    let more = match locations.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let costs = match waits {
        0 => format!("not on the longest chain; its own chain costs {}", cost(axis, *own_chain)),
        1 => format!("one transaction of the chain waits, {}", cost(axis, *chain_cost)),
        _ => format!("{waits} transactions of the chain wait, {}", cost(axis, *chain_cost)),
    };
    format!("{first}{more}: {costs}")
}

/// Describes its transactions and the functions that they call.
fn who_line(conflict: &Conflict) -> String {
    let functions = conflict.functions.iter().take(CALLS);
    let calls: Vec<String> = functions
        .map(|it| format!("{} in {}", conflict.function(it.what), it.transactions))
        .collect();
    let callees = conflict.callees.iter().take(CALLS).map(|it| match it.what {
        Some(callee) => format!("{callee} in {}", it.transactions),
        None => format!("a new contract in {}", it.transactions),
    });
    let called = if calls.is_empty() {
        format!("to {}", callees.collect::<Vec<_>>().join(", "))
    } else {
        format!("calls of {}", calls.join(", "))
    };
    let count = conflict.transactions.len();
    format!("{count} transactions access it ({}): {called}", listed(&conflict.transactions, ", "))
}

fn transactions(indices: &[usize]) -> String {
    let noun = if indices.len() == 1 { "Transaction" } else { "Transactions" };
    format!("{noun} {}", listed(indices, ", "))
}

/// Lists the first indices and the number of the others.
fn listed(indices: &[usize], between: &str) -> String {
    let named: Vec<String> = indices.iter().take(NAMED).map(ToString::to_string).collect();
    let more = indices.len().saturating_sub(NAMED);
    let rest = if more == 0 { String::new() } else { format!("{between}... ({more} more)") };
    named.join(between) + &rest
}

/// Returns `text` with a capital first letter.
#[must_use]
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
