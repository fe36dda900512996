//! A survey as tables for a terminal.

use super::{
    chain::Role,
    group::{ContractRow, Function, Group, Spread},
    row::Limit,
};
use crate::explain::{Axis, words};
use Align::{Left, Right};
use std::array;

/// Maximum number of kinds and functions of a contract that are listed.
const NAMED: usize = 2;

/// Width for these names, so that a line with its indent has at most 100 columns.
const WIDEST: usize = 94;

/// Alignment of the cells of a column.
#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

/// Renders rows as a table, each column as wide as its widest cell, with two spaces between
/// columns.
fn aligned<const N: usize>(aligns: [Align; N], rows: &[[String; N]]) -> String {
    let width = |cell: &String| cell.chars().count();
    let widths: [usize; N] =
        array::from_fn(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells =
            row.iter().zip(aligns.iter().zip(widths)).map(|(cell, (align, width))| match align {
                Left => format!("{cell:<width$}"),
                Right => format!("{cell:>width$}"),
            });
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Returns the fork of a group, and its number of blocks.
fn fork_and_blocks(group: &Group) -> [String; 2] {
    [group.fork.clone().unwrap_or_else(|| "all".to_owned()), group.blocks.to_string()]
}

/// Returns the groups in table order, with all blocks last, as a total.
fn ordered(groups: &[Group]) -> impl Iterator<Item = &Group> {
    groups.iter().skip(1).chain(groups.first())
}

/// Renders the distribution of the bounds, by fork and in total; `workers` is the number of workers
/// of the columns that depend on it.
#[must_use]
pub fn bounds(groups: &[Group], workers: usize) -> String {
    let on = format!("chain, {workers} workers");
    let titles = ["fork", "blocks", "no conflicts", "late read", "conflict chain", &on];
    let mut rows = vec![titles.map(str::to_owned)];
    for group in ordered(groups) {
        let ([fork, blocks], it) = (fork_and_blocks(group), &group.speedups);
        let [free, late, chain, on] =
            [it.no_conflicts, it.late_read, it.chain, it.chain_on_workers].map(spread);
        rows.push([fork, blocks, free, late, chain, on]);
    }
    let title = "Upper bounds on the speed-up over sequential execution, by gas: median (first - third quartile)\n";
    title.to_owned() + &aligned([Left, Right, Left, Left, Left, Left], &rows)
}

/// Renders Braid's speed-ups, by fork and in total.
#[must_use]
pub fn reached(groups: &[Group], workers: usize) -> String {
    let on = format!("simulated, {workers} workers");
    let mut rows = vec![["fork", "blocks", &on, "measured here"].map(str::to_owned)];
    for group in ordered(groups) {
        let ([fork, blocks], it) = (fork_and_blocks(group), &group.speedups);
        rows.push([fork, blocks, spread(it.simulated), spread(it.measured)]);
    }
    let title = "Braid's speed-up over sequential execution: median (first - third quartile)\n";
    let count = |count: usize| match count {
        1 => "one block".to_owned(),
        count => format!("{count} blocks"),
    };
    let (passed, busy) = groups.first().map_or((0, 0), |all| (all.passed, all.busy));
    let mut note = String::new();
    if passed > 0 {
        note += &format!(
            "In {} Braid beats the bound of the conflict chain,\n\
             because it adds payments of ether without reading the balance.\n",
            count(passed)
        );
    }
    if busy > 0 {
        note += &format!(
            "The machine was busy while {} were measured: these times are unreliable.\n",
            count(busy)
        )
        .replace("block were", "block was");
    }
    title.to_owned() + &aligned([Left, Right, Left, Left], &rows) + &note
}

fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |it| format!("{:.2} ({:.2}-{:.2})", it.median, it.first_quartile, it.third_quartile),
    )
}

/// Renders what limits the blocks, by fork and in total.
#[must_use]
pub fn limits(groups: &[Group], workers: usize) -> String {
    let titles = ["fork", "blocks", "conflicts", "longest transaction", "workers"];
    let mut rows = vec![titles.map(str::to_owned)];
    for group in ordered(groups) {
        let [fork, blocks] = fork_and_blocks(group);
        let [conflicts, longest, workers] = Limit::ALL.map(|limit| {
            let row = group.limits.iter().find(|row| row.limit == limit);
            let (blocks, gas) = row.map_or((0, 0), |row| (row.blocks, row.gas));
            format!("{blocks} ({})", share(gas, group.gas))
        });
        rows.push([fork, blocks, conflicts, longest, workers]);
    }
    let title =
        format!("What limits a block on {workers} workers: number of blocks (share of the gas)\n");
    title + &aligned([Left, Right, Left, Left, Left], &rows)
}

/// Renders what the conflict chains of `group` wait for.
#[must_use]
pub fn kinds(group: &Group) -> String {
    let titles = ["kind of location", "gas", "share", "only here", "transactions", "blocks"];
    let mut rows = vec![titles.map(str::to_owned)];
    for row in &group.kinds {
        let [gas, part, alone] = costs(row.chain_cost, row.alone, group.chain);
        let (waits, blocks) = (row.waits.to_string(), row.blocks.to_string());
        rows.push([row.kind.to_string(), gas, part, alone, waits, blocks]);
    }
    let of = words::cost(Axis::Gas, group.chain);
    let title = format!(
        "What the conflict chains wait for, by gas of the waiting transactions ({of} on all chains)\n"
    );
    let nothing = match group.kinds[..] {
        [] => "none: no conflict chain costs more than the longest transaction of its block\n",
        _ => "",
    };
    title + &aligned([Left, Right, Right, Left, Right, Right], &rows) + nothing
}

/// Renders the `top` contracts with the highest cost on the conflict chains of `group`; below each,
/// what waits there.
#[must_use]
pub fn contracts(group: &Group, top: usize) -> String {
    let titles = ["", "contract", "gas", "share", "only here", "txs", "blocks"];
    let mut rows = vec![titles.map(str::to_owned)];
    let contracts = group.accounts.iter().filter(|it| it.role == Role::Contract).take(top);
    let (mut below, mut indent) = (Vec::new(), 0);
    for (index, row) in contracts.enumerate() {
        let [gas, part, alone] = costs(row.chain_cost, row.alone, group.chain);
        let (number, account) = (format!("{}.", index + 1), row.account.to_string());
        let (waits, blocks) = (row.waits.to_string(), row.blocks.to_string());
        indent = number.len() + 2;
        rows.push([number, account, gas, part, alone, waits, blocks]);
        below.push(what(row));
    }
    let of = words::cost(Axis::Gas, group.chain);
    let mut text = format!(
        "Contracts at which the conflict chains wait, by gas of the waiting transactions\n\
         ({of} on all chains); below each: kinds of locations; functions\n"
    );
    let table = aligned([Right, Left, Right, Right, Left, Right, Right], &rows);
    // The title of the table comes first, and has nothing below it.
    let below = std::iter::once(None).chain(below.iter().map(Some));
    for (line, below) in table.lines().zip(below) {
        text += line;
        text.push('\n');
        if let Some(what) = below {
            text += &format!("{:indent$}{what}\n", "");
        }
    }
    text
}

/// Returns the gas of the transactions that wait at a location, its share, and the gas of those
/// that wait nowhere else.
fn costs(chain_cost: u64, alone: u64, of: u64) -> [String; 3] {
    let cost = |gas| words::cost(Axis::Gas, gas);
    [cost(chain_cost), share(chain_cost, of), format!("{} ({})", cost(alone), share(alone, of))]
}

/// Returns kinds and functions of a contract, fewer of them if their names are long.
fn what(row: &ContractRow) -> String {
    let listed = |texts: Vec<String>, most: usize| {
        let more = texts.len().saturating_sub(most);
        let named = texts.into_iter().take(most).collect::<Vec<_>>().join(", ");
        if more == 0 { named } else { format!("{named}, {more} more") }
    };
    let text = |most| {
        let kinds = listed(row.kinds.iter().map(ToString::to_string).collect(), most);
        let functions = listed(row.functions.iter().map(name).collect(), most);
        if functions.is_empty() { kinds } else { format!("{kinds}; {functions}") }
    };
    let whole = text(NAMED);
    if whole.len() > WIDEST { text(1) } else { whole }
}

/// Returns the name of a function without its parameters, or its selector.
fn name(function: &Function) -> String {
    let signature = function.signature.and_then(|it| it.split('(').next());
    signature
        .map_or_else(|| alloy_primitives::hex::encode_prefixed(function.selector), str::to_owned)
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn share(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    format!("{percent:.0} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_space_between_columns_however_wide_a_cell_is() {
        let wide = Spread {
            lowest: 1.0,
            first_quartile: 19_332.25,
            median: 19_688.5,
            third_quartile: 20_000.0,
            highest: 20_000.0,
        };
        let mut all = Group { blocks: 1_234_567_890, ..Group::default() };
        all.speedups.no_conflicts = Some(wide);
        all.speedups.late_read = Some(wide);
        let table = bounds(&[all], 16);
        let cell = "19688.50 (19332.25-20000.00)";
        assert!(table.contains(&format!("all   1234567890  {cell}  {cell}  -")), "{table}");
        assert!(table.lines().all(|line| line == line.trim_end()));
    }
}
