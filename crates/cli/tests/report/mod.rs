//! `braid report`: the data of the page, the page, and the trace.
//!
//! 1. `timeline`: the activities of simulated workers account for all of their time, and agree with
//!    the block.
//! 2. `data`: waits, locations, the matrix of contracts and the speed-ups, compared with the
//!    recording.
//! 3. `tool`: the page, its data as JSON, the trace, and refused arguments.

mod data;
mod timeline;
mod tool;

use braid_blocks::{block_file::BlockFile, workload::Preset};
use braid_cli::explain::{Axis, Graph, Recording, WhatIf, record};
use braid_cli::page::{Simulated, simulate};

/// A block measured in gas, on simulated workers.
struct Subject {
    recording: Recording,
    graph: Graph,
    simulated: Simulated,
}

impl Subject {
    fn new(preset: Preset, transactions: u32, workers: usize) -> Self {
        Self::of(&preset.block(transactions, 1).expect("generates"), workers)
    }

    fn of(file: &BlockFile, workers: usize) -> Self {
        let (block, database) = file.to_block().expect("whole");
        let recording = record(&block, &database, 0).expect("runs");
        let graph = Graph::new(&recording, Axis::Gas, &WhatIf::NOTHING);
        let graphed = (&graph, Axis::Gas);
        let simulated = simulate((&block, &database), graphed, &[1, workers], workers);
        let simulated = simulated.expect("the block executes");
        Self { recording, graph, simulated }
    }

    /// Returns the duration of a run of each transaction in nanoseconds: half its gas.
    fn prices(&self) -> Vec<u64> {
        self.graph.costs().iter().map(|gas| gas / 2).collect()
    }
}
