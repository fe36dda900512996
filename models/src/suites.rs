//! Suites of small blocks to explore.

use crate::LOCATIONS;
use crate::private_suites::{self, private_suites};
use crate::scenario::{Kind, Scenario, Tx, Write};
use braid_evm::protocol::Waste;

/// A named list of blocks that are explored together.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Its name.
    pub name: &'static str,
    /// Its blocks.
    pub scenarios: Vec<Scenario>,
}

/// Returns the small suites, for tests of the models themselves and of seeded bugs.
#[must_use]
pub fn suites() -> Vec<Suite> {
    let mut suites = published_suites();
    suites.extend(private_suites());
    suites.extend(suspension_suites());
    suites
}

/// Returns the suites whose workers may be preempted.
fn suspension_suites() -> Vec<Suite> {
    vec![
        Suite {
            name: "suspended",
            scenarios: with_suspensions(conflict_patterns().map(Scenario::new)),
        },
        Suite {
            name: "suspended in chunks",
            scenarios: with_suspensions(in_chunks(conflict_patterns(), false)),
        },
        Suite {
            name: "suspended beside batches",
            scenarios: with_suspensions(private_suites::plain(conflict_patterns())),
        },
    ]
}

/// Returns the suites without private batches.
fn published_suites() -> Vec<Suite> {
    vec![
        Suite { name: "patterns", scenarios: patterns(3, &programs(2)) },
        Suite { name: "turns", scenarios: with_longest(conflict_patterns()) },
        Suite {
            name: "turns and foresight",
            scenarios: with_predictions(with_longest(conflict_patterns())),
        },
        Suite { name: "turns in four", scenarios: longest_of_four() },
        Suite { name: "four", scenarios: four() },
        Suite {
            name: "faults",
            scenarios: with_faults(conflict_patterns().map(Scenario::new).collect()),
        },
        Suite { name: "chunks", scenarios: in_chunks(conflict_patterns(), true) },
        Suite { name: "tight limits", scenarios: tight() },
        Suite { name: "hints", scenarios: hints() },
        Suite { name: "cancellation", scenarios: with_cancellation(conflict_patterns().collect()) },
        Suite { name: "credits", scenarios: with_credits(conflict_patterns()) },
        Suite {
            name: "foresight",
            scenarios: with_predictions(conflict_patterns().map(Scenario::new)),
        },
    ]
}

/// Returns the suites that run exhaustively on every change: every block of three transactions over
/// three locations, plain, with each fault in each transaction, split into chunks, and cancelled at
/// any time.
#[must_use]
pub fn full_suites() -> Vec<Suite> {
    let every = || patterns(3, &programs(LOCATIONS));
    let blocks = || every().into_iter().map(|scenario| scenario.txs);
    let mut full = vec![
        Suite { name: "every pattern", scenarios: every() },
        Suite { name: "every fault", scenarios: with_faults(every()) },
        Suite { name: "every cut", scenarios: in_chunks(blocks(), false) },
        Suite { name: "every cancellation", scenarios: with_cancellation(blocks().collect()) },
        Suite { name: "faults in chunks", scenarios: in_chunks(conflict_patterns(), true) },
        Suite { name: "tight limits", scenarios: tight() },
        Suite { name: "every turn", scenarios: with_longest(blocks()) },
        Suite {
            name: "turns and foresight",
            scenarios: with_predictions(with_longest(conflict_patterns())),
        },
        Suite { name: "turns in four", scenarios: longest_of_four() },
        Suite { name: "hints", scenarios: hints() },
        Suite { name: "four", scenarios: four() },
        Suite { name: "every credit", scenarios: with_credits(blocks()) },
        Suite { name: "every foresight", scenarios: with_predictions(every()) },
        Suite {
            name: "foresight in chunks",
            scenarios: with_predictions(in_chunks(conflict_patterns(), true)),
        },
    ];
    full.extend(private_suites());
    full.extend(suspension_suites());
    let fewer = || patterns(3, &programs(2)).into_iter().map(|scenario| scenario.txs);
    full.push(Suite { name: "every split", scenarios: private_suites::plain(fewer()) });
    full
}

/// A sampled suite has one in this many blocks of four transactions.
const SAMPLED: usize = 97;

/// Returns the suites that take minutes: every block of four transactions whose write locations do
/// not depend on values, and fixed samples of blocks whose locations do and of blocks with faults.
#[must_use]
pub fn long_suites() -> Vec<Suite> {
    let mut fixed = programs(LOCATIONS);
    fixed.retain(|tx| tx.write != Write::ByValue);
    let sample = |scenarios: Vec<Scenario>| scenarios.into_iter().step_by(SAMPLED).collect();
    let mut long = full_suites();
    let wide = |mut scenario: Scenario| {
        scenario.limits.window = 4;
        scenario
    };
    let four = |programs: &[Tx]| patterns(4, programs).into_iter().map(wide).collect::<Vec<_>>();
    let by_value: Vec<Scenario> = four(&programs(LOCATIONS));
    long.push(Suite { name: "four faults", scenarios: with_faults(sample(by_value.clone())) });
    long.push(Suite { name: "four by value", scenarios: sample(by_value) });
    long.push(Suite { name: "every four", scenarios: four(&fixed) });
    long
}

/// Returns the blocks with workers that may be preempted.
fn with_suspensions(blocks: impl IntoIterator<Item = Scenario>) -> Vec<Scenario> {
    let suspended = |scenario| Scenario { stalls: true, ..scenario };
    blocks.into_iter().map(suspended).collect()
}

/// Returns all transactions with at most one read and one write.
fn programs(locations: usize) -> Vec<Tx> {
    let mut programs = Vec::new();
    let all = || (0..locations).map(Some);
    for read in core::iter::once(None).chain(all()) {
        let fixed = all().flatten().map(Write::At);
        for write in [Write::Nothing, Write::ByValue].into_iter().chain(fixed) {
            if read.is_some() || write != Write::ByValue {
                programs.push(Tx { read, write, kind: Kind::Plain });
            }
        }
    }
    programs
}

/// Returns every block of `length` transactions from `programs`. Of blocks that differ only in the
/// names of locations, it returns one.
fn patterns(length: usize, programs: &[Tx]) -> Vec<Scenario> {
    let mut blocks: Vec<Vec<Tx>> = vec![Vec::new()];
    for _ in 0..length {
        let longer = |block: &Vec<Tx>| {
            let block = block.clone();
            programs.iter().map(move |tx| block.iter().chain([tx]).copied().collect())
        };
        blocks = blocks.iter().flat_map(longer).collect();
    }
    blocks.retain(|block| is_representative(block));
    blocks.into_iter().map(Scenario::new).collect()
}

/// Returns whether locations are named in the order of their first use.
fn is_representative(txs: &[Tx]) -> bool {
    let mentioned = txs.iter().flat_map(|tx| {
        let written = match tx.write {
            Write::At(location) => Some(location),
            Write::Nothing | Write::ByValue => None,
        };
        tx.read.into_iter().chain(written)
    });
    // If a value selects a location, the name of the location matters.
    if txs.iter().any(|tx| tx.write == Write::ByValue) {
        return true;
    }
    let mut known = 0;
    mentioned.into_iter().all(|location| {
        let fits = location <= known;
        known = known.max(location + 1);
        fits
    })
}

const fn tx(read: Option<usize>, write: Write) -> Tx {
    Tx { read, write, kind: Kind::Plain }
}

/// Returns one block per pattern of conflicts.
pub(crate) fn conflict_patterns() -> impl Iterator<Item = Vec<Tx>> {
    use Write::{At, ByValue, Nothing};
    let blocks = vec![
        // Each transaction reads the write of the one before it.
        vec![tx(Some(0), At(0)), tx(Some(0), At(0)), tx(Some(0), At(0))],
        // Two readers of one writer.
        vec![tx(None, At(0)), tx(Some(0), At(1)), tx(Some(0), Nothing)],
        // A chain over two locations.
        vec![tx(None, At(0)), tx(Some(0), At(1)), tx(Some(1), At(0))],
        // The last two locations depend on the first write.
        vec![tx(None, At(0)), tx(Some(0), ByValue), tx(Some(1), ByValue)],
        vec![tx(Some(1), ByValue), tx(Some(0), ByValue), tx(Some(0), At(1))],
        // The middle transaction only writes, so the last one must not see the first.
        vec![tx(Some(0), At(0)), tx(None, At(0)), tx(Some(0), At(1))],
        // No conflicts.
        vec![tx(None, At(0)), tx(Some(1), Nothing), tx(None, At(1))],
    ];
    blocks.into_iter()
}

/// Returns blocks of four transactions, in which a transaction can wait for an aborted one while
/// the frontier is below both.
pub(crate) fn four() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in conflict_patterns() {
        for last in [tx(Some(0), Write::Nothing), tx(Some(1), Write::At(0))] {
            let mut scenario = Scenario::new(txs.clone());
            scenario.txs.push(last);
            scenario.limits.window = 4;
            scenarios.push(scenario);
        }
    }
    scenarios
}

/// Returns the blocks with the middle transaction, the last one, or both dispatched first, in
/// chunks or not.
fn with_longest(blocks: impl Iterator<Item = Vec<Tx>>) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in blocks {
        for longest in [vec![1], vec![2], vec![1, 2]] {
            for ends in [vec![], vec![3]] {
                let mut scenario = Scenario::new(txs.clone());
                scenario.limits.shared_chunks = !ends.is_empty();
                (scenario.longest, scenario.chunk_ends) = (longest.clone(), ends);
                scenarios.push(scenario);
            }
        }
    }
    scenarios
}

/// Returns blocks of four transactions whose last one is dispatched first: at once, or once the
/// frontier has moved.
fn longest_of_four() -> Vec<Scenario> {
    let narrow = |scenario: Scenario| {
        let mut narrow = scenario.clone();
        narrow.limits.window = 3;
        [narrow, scenario]
    };
    let mut scenarios: Vec<_> = four().into_iter().flat_map(narrow).collect();
    scenarios.iter_mut().for_each(|scenario| scenario.longest = vec![3]);
    scenarios
}

/// Returns the blocks with every fault in every transaction, in both modes.
fn with_faults(blocks: Vec<Scenario>) -> Vec<Scenario> {
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

/// Returns the blocks with every division into chunks, with a shared journal or not, and with skips
/// if `faults` is set.
fn in_chunks(blocks: impl Iterator<Item = Vec<Tx>>, faults: bool) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in blocks {
        for ends in [vec![2, 3], vec![1, 3], vec![3]] {
            for shared in [false, true] {
                let mut scenario = Scenario::new(txs.clone());
                scenario.chunk_ends.clone_from(&ends);
                scenario.limits.shared_chunks = shared;
                scenarios.push(scenario.clone());
                scenario.limits.skip_rejected = true;
                let faulty = (0..txs.len()).filter(|_| faults);
                for (at, kind) in faulty.flat_map(|at| [(at, Kind::NoRoom), (at, Kind::RejectsOdd)])
                {
                    let mut scenario = scenario.clone();
                    scenario.txs[at].kind = kind;
                    scenarios.push(scenario);
                }
            }
        }
    }
    scenarios
}

/// Returns the blocks with credits that the second transaction, the third, or both read, in chunks
/// or not, with and without a skip.
fn with_credits(blocks: impl Iterator<Item = Vec<Tx>>) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in blocks {
        for readers in [vec![1], vec![2], vec![1, 2]] {
            for (ends, shared) in [(vec![], false), (vec![1, 3], false), (vec![3], true)] {
                let mut scenario = Scenario::new(txs.clone());
                readers.iter().for_each(|reader| scenario.txs[*reader].kind = Kind::ReadsCredits);
                scenario.chunk_ends = ends;
                scenario.limits.shared_chunks = shared;
                scenarios.push(scenario.clone());
                scenario.limits.skip_rejected = true;
                if scenario.txs[0].kind == Kind::Plain {
                    scenario.txs[0].kind = Kind::NoRoom;
                    scenarios.push(scenario);
                }
            }
        }
    }
    scenarios
}

/// Returns the blocks with transactions that may wait for running lower ones.
fn with_predictions(scenarios: impl IntoIterator<Item = Scenario>) -> Vec<Scenario> {
    let predicts = |scenario| Scenario { predicts: true, ..scenario };
    scenarios.into_iter().map(predicts).collect()
}

fn tight() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in conflict_patterns() {
        for (window, job_capacity, cap) in [(1, 1, 1), (2, 1, 1), (3, 1, 2), (3, 3, 1), (3, 3, 3)] {
            let mut scenario = Scenario::new(txs.clone());
            scenario.limits.window = window;
            scenario.limits.job_capacity = job_capacity;
            scenario.limits.max_speculative_runs = cap;
            scenarios.push(scenario.clone());
            scenario.limits.fallback = Some(Waste::AFTER_TWO);
            scenarios.push(scenario.clone());
            scenarios.push(Scenario { longest: vec![2], ..scenario.clone() });
            scenarios.push(Scenario { may_be_unprofitable: true, ..scenario });
        }
    }
    scenarios
}

fn hints() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in conflict_patterns() {
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

/// Returns blocks that the caller may cancel at any time.
fn with_cancellation(blocks: Vec<Vec<Tx>>) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for txs in blocks {
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
