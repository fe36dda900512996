//! Blocks in virtual time where a run takes as long as its gas: the same figures on every machine.

use crate::{
    explain::{self, Axis, Graph, WhatIf},
    page::Priced,
};
use braid_testkit::{
    block::Block,
    block_file::FileDatabase,
    compare::braid::outputs,
    sequential::{OnInvalid, Prepared},
};
use core::num::NonZeroU16;
use std::sync::Arc;
use thiserror::Error;

/// Executions of a block by one executor: the first one has learned nothing, the last one what there is to learn.
const EXECUTIONS: usize = 6;
/// Differences that are described.
const DESCRIBED: usize = 5;

/// How many times faster than in sequence a block is on some number of simulated workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Virtual {
    /// Of an executor that has seen nothing.
    pub fresh: f64,
    /// Of one that has executed the block some times before.
    pub learned: f64,
    /// Time that all runs take together, over sequential time, in the slower one.
    pub runs: f64,
    /// What it can be at best where each whole run waits for the runs that it needs.
    pub chain_bound: f64,
    /// What the longest transaction and the number of workers allow.
    pub longest_bound: f64,
}

impl Virtual {
    /// The smaller one of both ratios.
    #[must_use]
    pub const fn slower(&self) -> f64 {
        self.fresh.min(self.learned)
    }
}

/// Why a block has no virtual time.
#[derive(Debug, Error)]
pub enum VirtualError {
    /// It does not execute.
    #[error("{0}")]
    Invalid(String),
    /// A result is not that of sequential execution.
    #[error("{workers} workers: another result than sequential execution\n{differences}")]
    Different {
        /// On how many simulated workers.
        workers: u16,
        /// In what it differs, a line each.
        differences: String,
    },
}

/// How `block` runs on each number of `workers`.
///
/// # Errors
/// [`VirtualError`].
pub fn virtual_ratios(
    block: &Block,
    database: &FileDatabase,
    workers: &[NonZeroU16],
) -> Result<Vec<Virtual>, VirtualError> {
    let shared = Arc::new(braid_evm::Block::from(block));
    virtual_ratios_of(block, &shared, database, workers)
}

/// How `block` runs on each number of `workers` if Braid is given it as `shared`, with an access list, say.
///
/// # Errors
/// [`VirtualError`].
pub fn virtual_ratios_of(
    block: &Block,
    shared: &Arc<braid_evm::Block>,
    database: &FileDatabase,
    workers: &[NonZeroU16],
) -> Result<Vec<Virtual>, VirtualError> {
    let recording = explain::record(block, database, 0).map_err(invalid)?;
    let graph = Graph::new(&recording, Axis::Gas, &WhatIf::NOTHING);
    let counts: Vec<usize> = workers.iter().map(|it| usize::from(it.get())).collect();
    let bounds = graph.bounds(&counts);
    let priced = Priced::new(&graph, Axis::Gas);
    let sequential = priced.sequential();
    let expected = Prepared::new(block).run(database.clone(), OnInvalid::Reject);
    let expected = expected.map_err(invalid)?;
    let on = |(workers, bound): (&NonZeroU16, &explain::OnWorkers)| {
        let mut executor = priced.executor(*workers);
        let mut found = Virtual {
            fresh: 0.0,
            learned: 0.0,
            runs: 0.0,
            chain_bound: explain::ratio(bounds.work, bound.chain),
            longest_bound: explain::ratio(bounds.work, bounds.longest).min(workers.get().into()),
        };
        for execution in 0..EXECUTIONS {
            let run = executor.execute(Arc::clone(shared), braid_evm::Cloned(database.clone()));
            let run = run.map_err(invalid)?;
            let timeline = priced.timeline(&run, usize::from(workers.get()));
            let time = timeline.runs.iter().map(|run| run.end - run.begin).sum();
            let output = run.result.map_err(invalid)?;
            let differences = outputs(&expected, &output, DESCRIBED);
            if !differences.is_empty() {
                let (workers, differences) = (workers.get(), differences.to_string());
                return Err(VirtualError::Different { workers, differences });
            }
            found.learned = explain::ratio(sequential, timeline.end);
            if execution == 0 {
                found.fresh = found.learned;
            }
            if found.learned <= found.fresh {
                found.runs = 1.0 / explain::ratio(sequential, time).max(f64::MIN_POSITIVE);
            }
        }
        Ok(found)
    };
    workers.iter().zip(&bounds.workers).map(on).collect()
}

fn invalid(error: impl core::fmt::Display) -> VirtualError {
    VirtualError::Invalid(error.to_string())
}
