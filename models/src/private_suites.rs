//! Suites of small blocks with private batches.

use crate::scenario::{Kind, Scenario, Tx};
use crate::suites::{Suite, conflict_patterns, four};
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::protocol::Waste;

/// Returns the suites of private batches that are small enough to run on every change.
pub(crate) fn private_suites() -> Vec<Suite> {
    vec![
        Suite { name: "batches", scenarios: plain(conflict_patterns()) },
        Suite { name: "batches with faults", scenarios: faults() },
        Suite { name: "batches in groups", scenarios: groups() },
        Suite { name: "batches, cancelled", scenarios: cancelled() },
        Suite { name: "batches, tight", scenarios: tight() },
        Suite { name: "batches of four", scenarios: of_four() },
        Suite { name: "rounds", scenarios: rounds() },
        Suite { name: "batches that read a list", scenarios: listed() },
    ]
}

/// Returns every division of this number of transactions into contiguous ranges.
fn splits(transactions: u32) -> Vec<Vec<Chunk>> {
    let ends_at = |cuts: u32, end: u32| end == transactions || cuts & 1 << end != 0;
    let split = |cuts: u32| {
        let ends = (1..=transactions).filter(|end| ends_at(cuts, *end));
        let mut first = TxIndex(0);
        let chunk = |end| {
            let end = TxIndex(end);
            Chunk { first: core::mem::replace(&mut first, end), end }
        };
        ends.map(chunk).collect()
    };
    (0..1 << transactions).step_by(2).map(split).collect()
}

fn in_every_split(blocks: impl Iterator<Item = Vec<Tx>>) -> Vec<Scenario> {
    let split = |txs: Vec<Tx>| {
        splits(txs.len() as u32).into_iter().map(move |batches| {
            let mut scenario = Scenario::new(txs.clone());
            scenario.batches = batches;
            scenario
        })
    };
    blocks.flat_map(split).collect()
}

/// Returns each block with every division into batches.
pub(crate) fn plain(blocks: impl Iterator<Item = Vec<Tx>>) -> Vec<Scenario> {
    in_every_split(blocks)
}

const KINDS: [Kind; 6] = [
    Kind::RejectsOdd,
    Kind::RejectsEven,
    Kind::FatalIfOdd,
    Kind::FatalIfEven,
    Kind::NoRoom,
    Kind::ReadsCredits,
];

/// Returns the blocks with each fault in each transaction, in both modes.
pub(crate) fn with_faults(blocks: Vec<Scenario>) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for block in blocks {
        for (at, kind) in (0..block.txs.len()).flat_map(|at| KINDS.map(|kind| (at, kind))) {
            let mut scenario = block.clone();
            scenario.txs[at].kind = kind;
            for skip in [false, true] {
                scenario.limits.skip_rejected = skip;
                scenarios.push(scenario.clone());
            }
        }
    }
    scenarios
}

fn faults() -> Vec<Scenario> {
    with_faults(in_every_split(conflict_patterns()))
}

/// Returns blocks whose batches commit as one group, with and without faults.
fn groups() -> Vec<Scenario> {
    let mut blocks = in_every_split(conflict_patterns());
    blocks.retain(|scenario| scenario.batches.iter().any(|batch| batch.len() > 1));
    blocks.iter_mut().for_each(|scenario| scenario.grouped = true);
    let mut scenarios = blocks.clone();
    scenarios.extend(with_faults(blocks));
    scenarios
}

/// Returns blocks that the caller may cancel at any time.
fn cancelled() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for mut scenario in in_every_split(conflict_patterns()) {
        scenario.may_cancel = true;
        scenarios.push(scenario.clone());
        scenario.txs[1].kind = Kind::RejectsEven;
        scenarios.push(scenario);
    }
    scenarios
}

/// Returns blocks with tight limits, and blocks that also fall back if too many runs abort.
fn tight() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for mut scenario in in_every_split(conflict_patterns()) {
        for (window, job_capacity) in [(1, 1), (2, 1), (3, 1), (3, 3)] {
            scenario.limits.window = window;
            scenario.limits.job_capacity = job_capacity;
            scenarios.push(scenario.clone());
        }
        for fallback in [Waste { runs: 1, kept: u32::MAX, commits: 1 }, Waste::AFTER_TWO] {
            scenario.limits.fallback = Some(fallback);
            scenarios.push(scenario.clone());
        }
    }
    scenarios
}

/// Returns blocks of four transactions in at least two batches.
fn of_four() -> Vec<Scenario> {
    let splits = splits(4).into_iter().filter(|batches| (2..4).contains(&batches.len()));
    let splits: Vec<_> = splits.collect();
    let mut scenarios = Vec::new();
    for block in four() {
        for batches in &splits {
            let mut scenario = block.clone();
            scenario.batches.clone_from(batches);
            scenarios.push(scenario.clone());
            scenario.grouped = true;
            scenarios.push(scenario);
        }
    }
    scenarios
}

/// Returns blocks of private batches with an access list: the right list, and lists that are wrong
/// for one transaction. The block ends at the first transaction that differs from the list.
pub(crate) fn listed() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for mut scenario in in_every_split(conflict_patterns()) {
        let right = scenario.run_sequentially().written;
        for grouped in [false, true] {
            scenario.grouped = grouped;
            scenario.list = Some(right.clone());
            scenarios.push(scenario.clone());
            for (tx, written) in right.iter().enumerate() {
                let (location, value) = written.unwrap_or((0, 1));
                let other = ((location + 1) % crate::LOCATIONS, value);
                for lie in [None, Some((location, value.wrapping_add(2))), Some(other)] {
                    let mut list = right.clone();
                    list[tx] = lie;
                    if list != right {
                        scenarios.push(Scenario { list: Some(list), ..scenario.clone() });
                    }
                }
            }
        }
    }
    scenarios
}

/// Returns blocks that continue an earlier segment.
fn rounds() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for block in in_every_split(conflict_patterns()) {
        for begun in [1, 2] {
            let mut round = block.clone();
            round.begin_later(begun);
            scenarios.push(round.clone());
            for kind in [Kind::RejectsEven, Kind::NoRoom] {
                round.txs[2].kind = kind;
                for skip in [false, true] {
                    round.limits.skip_rejected = skip;
                    scenarios.push(round.clone());
                }
            }
        }
    }
    scenarios
}
