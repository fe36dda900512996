//! Predictions of what-if questions, compared with contracts that were changed accordingly.

use alloy_primitives::U256;
use braid_blocks::workload::{Workload, WorkloadSpec, generate};
use braid_cli::explain::{Axis, Graph, Location, Recording, Rule, WhatIf, record};

fn recorded(kind: Workload, hot: u8) -> Recording {
    let file = generate(&WorkloadSpec::new(kind, 60, hot, 1).unsigned()).expect("a block");
    let (block, database) = file.to_block().expect("whole");
    record(&block, &database, 0).expect("runs")
}

fn chain(recording: &Recording, what_if: &WhatIf) -> u64 {
    Graph::new(recording, Axis::Gas, what_if).chain(Rule::Whole)
}

/// Returns the location of `nextId` or `lastMinter` of the collectible, by the layout in
/// `lab/contracts/out/Mint.json`.
fn slot(recording: &Recording, slot: u64) -> Location {
    Location::Slot(recording.transactions[0].callee.expect("a call"), U256::from(slot))
}

/// Compares the prediction for the block of one contract with the measurement of the block of the
/// changed one.
fn is_close(predicted: u64, measured: u64) {
    let difference = predicted.abs_diff(measured);
    assert!(difference * 10 <= measured, "predicted {predicted}, measured {measured}");
}

#[test]
fn a_variable_that_is_left_out_moves_the_path_as_predicted() {
    for hot in [0, 30] {
        let (serial, counter) =
            (recorded(Workload::MintSerial, hot), recorded(Workload::MintCounter, hot));
        let without = WhatIf {
            without: vec![format!("{}", slot(&serial, 4)).parse().unwrap()],
            ..WhatIf::default()
        };
        let predicted = chain(&serial, &without);
        assert_eq!(predicted, chain(&serial, &WhatIf::NOTHING), "the counter is left");
        is_close(predicted, chain(&counter, &WhatIf::NOTHING));
    }
}

#[test]
fn a_counter_for_each_caller_moves_the_path_as_predicted() {
    for hot in [0, 30] {
        let (counter, parallel) =
            (recorded(Workload::MintCounter, hot), recorded(Workload::MintParallel, hot));
        let sharded = WhatIf { sharded: vec![slot(&counter, 3)], ..WhatIf::default() };
        let predicted = chain(&counter, &sharded);
        let measured = chain(&parallel, &WhatIf::NOTHING);
        println!(
            "hot {hot}: {} -> predicted {predicted}, measured {measured}",
            chain(&counter, &WhatIf::NOTHING)
        );
        assert!(predicted * 3 < chain(&counter, &WhatIf::NOTHING), "the change is worth it");
        is_close(predicted, measured);
    }
}
