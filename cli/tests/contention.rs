//! The sweep over contention on simulated workers: which cells gain, without a clock.

use braid_cli::{
    bench::contention::{QUICK_SLOTS, Sweep, planes},
    explain::{self, Axis, Graph, WhatIf, ratio},
    page::simulate,
};
use braid_testkit::workload::{Contention, ToldBy};
use std::{collections::HashMap, num::NonZeroU16, time::Duration};

/// Workers, and calls of each block.
const WORKERS: [usize; 2] = [2, 8];
const CALLS: u32 = 1_000;

/// How many times faster than in sequence a cell is, and what chains allow, on 2 and on 8 workers.
#[derive(Clone, Copy, Debug)]
struct Virtual {
    reached: [f64; 2],
    bound: [f64; 2],
}

fn run(contention: Contention) -> Virtual {
    let timing = braid_cli::bench::Timing { rounds: 1, pause: Duration::ZERO };
    let transactions = Some(CALLS);
    let sweep = Sweep { workers: NonZeroU16::MIN, timing, seed: 1, transactions };
    let (block, database) = sweep.block(contention).expect("a block");
    let recording = explain::record(&block, &database, 0).expect("it executes");
    let graph = Graph::new(&recording, Axis::Gas, &WhatIf::NOTHING);
    let simulated = simulate((&block, &database), (&graph, Axis::Gas), &WORKERS, 2);
    let simulated = simulated.expect("it executes");
    let reached = WORKERS.map(|workers| simulated.speedup(workers).expect("simulated"));
    let bounds = graph.bounds(&WORKERS);
    let bound = [0, 1].map(|at| ratio(bounds.work, bounds.workers[at].chain));
    Virtual { reached, bound }
}

/// What has to be reached of the bound by cells whose slots can be told, on 2 and on 8 workers. With
/// two some of a thousand calls go into finding out how they hang together.
const TOLD: [f64; 2] = [0.88, 0.68];
/// The same for cells whose slots nothing tells, with 40 and with 300 slots.
const UNTOLD: [(u32, [f64; 2]); 2] = [(40, [0.64, 0.39]), (300, [0.82, 0.58])];

#[test]
fn cells_keep_their_ranks_in_virtual_time() {
    let planes = planes(&QUICK_SLOTS);
    let mut cells = HashMap::new();
    for contention in planes.iter().flat_map(|plane| &plane.rows).flat_map(|(_, row)| row) {
        cells.entry(*contention).or_insert_with(|| run(*contention));
    }
    for (cell, found) in &cells {
        let Virtual { reached, bound } = found;
        // One slot: no more than in sequence can be had, and little less is lost by trying.
        let least = match cell.slots {
            1 => [0.9, 0.95],
            slots if cell.told_by == ToldBy::Nothing => {
                let (_, least) = UNTOLD.iter().find(|(of, _)| *of == slots).expect("a cell");
                *least
            }
            _ => TOLD,
        };
        let shares = [0, 1].map(|at| reached[at] / bound[at]);
        assert!(shares[0] >= least[0] && shares[1] >= least[1], "{cell}: {found:.2?}");
        // More slots are never slower, and nothing is gained by not being told.
        let fewer = QUICK_SLOTS.iter().filter(|slots| **slots < cell.slots);
        for slots in fewer {
            let fewer = cells[&Contention { slots: *slots, ..*cell }];
            let is_slower = (0..2).any(|at| reached[at] < 0.93 * fewer.reached[at]);
            assert!(!is_slower, "{cell}: {found:.2?}, with {slots} slots {fewer:.2?}");
        }
        if cell.told_by == ToldBy::Nothing {
            let told = cells[&Contention { told_by: ToldBy::Argument, ..*cell }];
            assert!((0..2).all(|at| reached[at] <= told.reached[at] * 1.02), "{cell}: {found:.2?}");
        }
    }
}
