//! Seeded bugs as the tests choose them, and the table of docs/TESTING.md.

pub(crate) mod rounds;
pub(crate) mod scripts;

use braid_evm::mv::{Store, StoreMutant};
use braid_evm::protocol::Mutant;
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Options, Schedule};
use braid_evm::worker::{Shared, WorkerMutant};
use braid_toy::{ToyCase, ToyLedger, ToyWorkload};
pub(crate) use rounds::Bug;
use std::path::Path;

impl Bug {
    /// The name of the one that is chosen.
    pub(crate) fn name(self) -> String {
        let Self { protocol, store, worker } = self;
        let names = [format!("{protocol:?}"), format!("{store:?}"), format!("{worker:?}")];
        names.into_iter().find(|name| name != "None").unwrap_or_default()
    }

    /// Whether it takes blocks in rounds to notice it.
    pub(crate) fn is_of_rounds(self) -> bool {
        let Self { protocol, worker, .. } = self;
        let in_protocol = matches!(
            protocol,
            Mutant::CarryOutdated
                | Mutant::CarryKept
                | Mutant::CarriedForgotten
                | Mutant::AwaitsAfterEnd
        );
        in_protocol || worker == WorkerMutant::CarryReplaced
    }

    /// Whether it takes private batches to notice it.
    pub(crate) fn is_of_batches(self) -> bool {
        let Self { protocol, store, worker } = self;
        let in_protocol = matches!(
            protocol,
            Mutant::OutsidersUnchecked
                | Mutant::SnapshotLate
                | Mutant::ComparedOnce
                | Mutant::BatchTailKept
                | Mutant::GroupUnadmitted
                | Mutant::PublishForgotten
                | Mutant::SkipKeepsBatch
                | Mutant::HeldCommitted
                | Mutant::BatchTwice
                | Mutant::BatchOvertakes
                | Mutant::HaltCommitsBatch
        );
        let in_store = matches!(
            store,
            StoreMutant::OutsidersIgnored
                | StoreMutant::WritesUncompared
                | StoreMutant::LastWriterOnly
                | StoreMutant::IndexForgets
                | StoreMutant::WatchBlind
                | StoreMutant::LastAccessCounts
        );
        let in_worker = matches!(
            worker,
            WorkerMutant::BatchGoesOn
                | WorkerMutant::BatchNotReplaced
                | WorkerMutant::FrontierBeforeGroup
                | WorkerMutant::FrontierUnindexed
                | WorkerMutant::GroupUnindexed
                | WorkerMutant::VerdictForgotten
                | WorkerMutant::ReportedTwice
                | WorkerMutant::SecondOnFrontier
                | WorkerMutant::TakenBackHelped
        );
        in_protocol || in_store || in_worker
    }

    /// Every seeded bug of the engine.
    pub(crate) fn all() -> Vec<Self> {
        let protocol = Mutant::ALL.iter().map(|&protocol| Self { protocol, ..Self::default() });
        let store = StoreMutant::ALL.iter().map(|&store| Self { store, ..Self::default() });
        let worker = WorkerMutant::ALL.iter().map(|&worker| Self { worker, ..Self::default() });
        protocol.chain(store).chain(worker).collect()
    }

    /// A random block of this seed with the bug in it, and a schedule. `in_batches`: some or all of it is in private
    /// batches.
    pub(crate) fn scene(
        self,
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
        let protocol = case.protocol().with_mutant(self.protocol);
        let store = Store::new(case.shards).with_mutant(self.store);
        let shared = case.shared_with(protocol, store).with_mutant(self.worker);
        (case, shared, options)
    }
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
            let own = ["surcharges", "declared"];
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
