//! Blocks in which a seeded bug is to be noticed, and the table of docs/TESTING.md.

pub(crate) mod rounds;
pub(crate) mod scripts;

use braid_evm::mutants::Bug;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Options, Schedule};
use braid_evm::worker::Shared;
use braid_toy::{ToyCase, ToyLedger, ToyWorkload};
use std::path::Path;

/// Returns whether it takes blocks in rounds to notice `bug`.
pub(crate) fn is_of_rounds(bug: Bug) -> bool {
    matches!(bug, Bug::SpeculationStays)
}

/// Returns whether it takes private batches to notice `bug`.
pub(crate) fn is_of_batches(bug: Bug) -> bool {
    matches!(
        bug,
        Bug::OutsidersUnchecked
            | Bug::SnapshotLate
            | Bug::GroupUnadmitted
            | Bug::HeldCommitted
            | Bug::BatchTwice
            | Bug::BatchOvertakes
            | Bug::HaltCommitsBatch
            | Bug::OutsidersIgnored
            | Bug::WritesUncompared
            | Bug::BatchGoesOn
            | Bug::GroupUnindexed
            | Bug::ReportedTwice
    )
}

/// Returns every seeded bug of the engine.
pub(crate) fn engine_bugs() -> Vec<Bug> {
    [Bug::PROTOCOL, Bug::STORE, Bug::WORKERS].concat()
}

/// Returns a random block of this seed, and a schedule. `in_batches`: some or all of it is in
/// private batches.
pub(crate) fn scene(
    seed: u64,
    in_batches: bool,
) -> (ToyCase, Shared<ToyWorkload, ToyLedger>, Options) {
    let mut random = Random::new(seed);
    let make = if in_batches { ToyCase::random_private } else { ToyCase::random };
    let case = make(&mut random);
    let mut options = Options::new(1 + u16::from(random.small(4)), random.next_u64());
    options.step_limit = 100_000;
    if random.chance(1, 2) {
        options.schedule = Schedule::Bursts(20);
    }
    options.cancel_at = random.chance(1, 8).then(|| random.below(1_500));
    let shared = case.shared();
    (case, shared, options)
}

/// A row of the table of seeded bugs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its number.
    pub(crate) number: String,
    /// Name of the bug.
    pub(crate) name: String,
    /// The rungs that are said to notice it.
    pub(crate) noticed_by: Vec<String>,
}

impl Row {
    /// Whether this rung is said to notice it.
    pub(crate) fn is_noticed_by(&self, rung: &str) -> bool {
        self.noticed_by.iter().any(|check| check == rung)
    }

    /// Whether it is a bug of the Ethereum layer, which this package builds without.
    pub(crate) fn is_of_ethereum(&self) -> bool {
        let judge = |killer: &String| {
            let tests = ["hand-made ", "faults ", "simulated blocks", "random blocks"];
            let own = ["surcharges", "declared", "test of `plan::known`"];
            tests.iter().any(|test| killer.starts_with(test)) || own.contains(&killer.as_str())
        };
        self.noticed_by.iter().all(judge)
    }
}

/// The table of seeded bugs, which docs/SEEDED_BUGS.md renders.
pub(crate) fn table() -> Vec<Row> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/data/seeded_bugs.tsv");
    let file = std::fs::read_to_string(file).expect("the table is there");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [number, _, bug, _, noticed_by] = cells[..] else { panic!("not five columns: {line}") };
        let noticed_by = noticed_by.split(", ").map(str::to_owned).collect();
        Row { number: number.to_owned(), name: bug.trim_matches('`').to_owned(), noticed_by }
    };
    file.lines().skip(1).map(row).collect()
}
