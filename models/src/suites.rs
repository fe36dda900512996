//! Which small blocks are explored.

use crate::scenario::{Kind, Scenario, Tx, Write};
use braid_evm::protocol::Policy;

/// A named list of blocks that are explored together.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Its name.
    pub name: &'static str,
    /// Its blocks.
    pub scenarios: Vec<Scenario>,
}

/// The suites of the size that runs on every change.
#[must_use]
pub fn suites() -> Vec<Suite> {
    vec![
        Suite { name: "patterns", scenarios: patterns() },
        Suite { name: "four", scenarios: four() },
        Suite { name: "faults", scenarios: faults() },
        Suite { name: "chunks", scenarios: chunks() },
        Suite { name: "tight limits", scenarios: tight() },
        Suite { name: "hints", scenarios: hints() },
        Suite { name: "cancellation", scenarios: cancellation() },
    ]
}

/// The suites that take minutes: the same, and faults in every pattern.
#[must_use]
pub fn long_suites() -> Vec<Suite> {
    let mut long = suites();
    long.push(Suite { name: "all faults", scenarios: faults_in(patterns()) });
    long
}

/// All transactions of at most one read and one write.
fn programs() -> Vec<Tx> {
    let mut programs = Vec::new();
    for read in [None, Some(0), Some(1)] {
        for write in [Write::Nothing, Write::At(0), Write::At(1), Write::ByValue] {
            if read.is_some() || write != Write::ByValue {
                programs.push(Tx { read, write, kind: Kind::Plain });
            }
        }
    }
    programs
}

/// Every block of three such transactions, of two that differ in the names of the locations only
/// one.
fn patterns() -> Vec<Scenario> {
    let programs = programs();
    let mut scenarios = Vec::new();
    for a in &programs {
        for b in &programs {
            for c in &programs {
                let txs = vec![*a, *b, *c];
                if is_representative(&txs) {
                    scenarios.push(Scenario::new(txs.clone()));
                }
            }
        }
    }
    scenarios
}

fn is_representative(txs: &[Tx]) -> bool {
    let mentioned = txs.iter().flat_map(|tx| {
        let written = match tx.write {
            Write::At(location) => Some(location),
            Write::Nothing | Write::ByValue => None,
        };
        tx.read.into_iter().chain(written)
    });
    // A location that a value picks has a name that matters.
    txs.iter().any(|tx| tx.write == Write::ByValue) || mentioned.take(1).all(|first| first == 0)
}

const fn tx(read: Option<usize>, write: Write) -> Tx {
    Tx { read, write, kind: Kind::Plain }
}

/// Blocks whose transactions meet, of each sort one.
fn meetings() -> Vec<Vec<Tx>> {
    use Write::{At, ByValue, Nothing};
    vec![
        // Each reads what the one before wrote.
        vec![tx(Some(0), At(0)), tx(Some(0), At(0)), tx(Some(0), At(0))],
        // Two readers of one writer.
        vec![tx(None, At(0)), tx(Some(0), At(1)), tx(Some(0), Nothing)],
        // A chain over two locations.
        vec![tx(None, At(0)), tx(Some(0), At(1)), tx(Some(1), At(0))],
        // The last two locations depend on what the first wrote.
        vec![tx(None, At(0)), tx(Some(0), ByValue), tx(Some(1), ByValue)],
        vec![tx(Some(1), ByValue), tx(Some(0), ByValue), tx(Some(0), At(1))],
        // The middle one only writes: the last must not notice the first.
        vec![tx(Some(0), At(0)), tx(None, At(0)), tx(Some(0), At(1))],
        // Nobody meets.
        vec![tx(None, At(0)), tx(Some(1), Nothing), tx(None, At(1))],
    ]
}

/// Four transactions: a discarded one, one that waits for it, and a frontier below both.
fn four() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in meetings() {
        for last in [tx(Some(0), Write::Nothing), tx(Some(1), Write::At(0))] {
            let mut scenario = Scenario::new(txs.clone());
            scenario.txs.push(last);
            scenario.limits.window = 4;
            scenarios.push(scenario);
        }
    }
    scenarios
}

fn faults() -> Vec<Scenario> {
    faults_in(meetings().into_iter().map(Scenario::new).collect())
}

/// Every fault in every transaction of every block, in both modes.
fn faults_in(blocks: Vec<Scenario>) -> Vec<Scenario> {
    let kinds =
        [Kind::RejectsOdd, Kind::RejectsEven, Kind::FatalIfOdd, Kind::FatalIfEven, Kind::NoRoom];
    let mut scenarios = Vec::new();
    for block in blocks {
        for at in 0..block.txs.len() {
            for kind in kinds {
                let mut scenario = block.clone();
                scenario.txs[at].kind = kind;
                for skip in [false, true] {
                    scenario.limits.skip_rejected = skip;
                    scenarios.push(scenario.clone());
                }
            }
        }
    }
    scenarios
}

fn chunks() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in meetings() {
        for ends in [vec![2, 3], vec![1, 3], vec![3]] {
            for shared in [false, true] {
                let mut scenario = Scenario::new(txs.clone());
                scenario.chunk_ends.clone_from(&ends);
                scenario.limits.shared_chunks = shared;
                scenarios.push(scenario.clone());
                scenario.limits.skip_rejected = true;
                for at in 0..txs.len() {
                    for kind in [Kind::NoRoom, Kind::RejectsOdd] {
                        let mut faulty = scenario.clone();
                        faulty.txs[at].kind = kind;
                        scenarios.push(faulty);
                    }
                }
            }
        }
    }
    scenarios
}

fn tight() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in meetings() {
        for (window, job_capacity, cap) in [(1, 1, 1), (2, 1, 1), (3, 1, 2), (3, 3, 1), (3, 3, 3)] {
            let mut scenario = Scenario::new(txs.clone());
            scenario.limits.window = window;
            scenario.limits.job_capacity = job_capacity;
            scenario.limits.max_speculative_runs = cap;
            for policy in [Policy::ForceSpeculative, Policy::Auto, Policy::InOrder] {
                scenario.limits.policy = policy;
                scenarios.push(scenario.clone());
            }
        }
    }
    scenarios
}

fn hints() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in meetings() {
        for dependencies in [vec![(1, 0)], vec![(2, 0)], vec![(2, 1)], vec![(1, 0), (2, 1)]] {
            for ends in [vec![], vec![3]] {
                let mut scenario = Scenario::new(txs.clone());
                scenario.chunk_ends = ends;
                scenario.dependencies.clone_from(&dependencies);
                scenarios.push(scenario);
            }
        }
    }
    scenarios
}

fn cancellation() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in meetings() {
        for ends in [vec![], vec![1, 3]] {
            let mut scenario = Scenario::new(txs.clone());
            scenario.chunk_ends = ends;
            scenario.may_cancel = true;
            scenarios.push(scenario.clone());
            scenario.txs[1].kind = Kind::RejectsEven;
            scenarios.push(scenario);
        }
    }
    scenarios
}
