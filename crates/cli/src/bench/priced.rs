//! Blocks in virtual time, in which a run takes as long as its gas: the same figures on every
//! machine.

use crate::{
    explain::{self, Axis, Graph, WhatIf},
    page::Priced,
};
use braid_blocks::{
    block::Block,
    block_file::FileDatabase,
    compare::braid::outputs,
    sequential::{OnInvalid, Prepared, SequentialOutput},
};
use braid_evm::BlockErrorKind;
use core::num::NonZeroU16;
use std::sync::Arc;
use thiserror::Error;

/// Executions of a block by one executor. The first has learned nothing, the last everything.
pub const EXECUTIONS: usize = 6;

/// Speed-ups of a block on some number of simulated workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Virtual {
    /// Speed-up of an executor that has seen nothing.
    pub fresh: f64,
    /// Speed-up of an executor that has executed the block several times.
    pub learned: f64,
    /// Total time of all runs over sequential time, in the slower of the two executions.
    pub runs: f64,
    /// Best possible speed-up if each transaction waits for the whole runs of those it depends on.
    pub chain_bound: f64,
    /// Best possible speed-up given the longest transaction and the number of workers.
    pub longest_bound: f64,
}

impl Virtual {
    /// Returns the smaller of the two speed-ups.
    #[must_use]
    pub const fn slower(&self) -> f64 {
        self.fresh.min(self.learned)
    }
}

/// Why a block has no figures.
#[derive(Debug, Error)]
pub enum VirtualError {
    /// The block does not execute.
    #[error("{0}")]
    Invalid(String),
    /// A result differs from that of sequential execution.
    #[error("{workers} workers: the result differs from sequential execution\n{differences}")]
    Different {
        /// Number of workers.
        workers: u16,
        /// The differences, one per line.
        differences: String,
    },
    /// A block with a wrong access list was accepted.
    #[error("{workers} workers: the access list is wrong, but the block was executed to its end")]
    Accepted {
        /// Number of workers.
        workers: u16,
    },
}

/// Runs `block` on each number of `workers`.
///
/// # Errors
/// Returns a [`VirtualError`].
pub fn virtual_ratios(
    block: &Block,
    database: &FileDatabase,
    workers: &[NonZeroU16],
) -> Result<Vec<Virtual>, VirtualError> {
    let shared = Arc::new(braid_evm::Block::from(block));
    virtual_ratios_of(block, &shared, database, workers)
}

/// Runs `block` on each number of `workers`, where Braid executes it as `shared`, for example with
/// an access list.
///
/// # Errors
/// Returns a [`VirtualError`].
pub fn virtual_ratios_of(
    block: &Block,
    shared: &Arc<braid_evm::Block>,
    database: &FileDatabase,
    workers: &[NonZeroU16],
) -> Result<Vec<Virtual>, VirtualError> {
    Trial { block, shared, database, before: None, mispriced: &[] }.ratios(workers)
}

/// A block to be run in virtual time.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'t> {
    /// The block.
    pub block: &'t Block,
    /// The block as Braid executes it.
    pub shared: &'t Arc<braid_evm::Block>,
    /// The state before the block.
    pub database: &'t FileDatabase,
    /// A block that the executor executes several times before.
    pub before: Option<(&'t Arc<braid_evm::Block>, &'t FileDatabase)>,
    /// Transactions that take [`MISPRICED`] times as long as their gas says.
    pub mispriced: &'t [usize],
}

/// Time per gas of a mispriced transaction, relative to the others.
pub const MISPRICED: u64 = 20;

impl Trial<'_> {
    /// Runs the block on each number of `workers`.
    ///
    /// # Errors
    /// Returns a [`VirtualError`].
    pub fn ratios(&self, workers: &[NonZeroU16]) -> Result<Vec<Virtual>, VirtualError> {
        let graph = self.graph()?;
        let counts: Vec<usize> = workers.iter().map(|it| usize::from(it.get())).collect();
        let bounds = graph.bounds(&counts);
        let priced = Priced::new(&graph, Axis::Gas);
        let expected = Prepared::new(self.block).run(self.database.clone(), OnInvalid::Reject);
        let expected = expected.map_err(invalid)?;
        let on = |(workers, bound): (&NonZeroU16, &explain::OnWorkers)| {
            let chain_bound = explain::ratio(bounds.work, bound.chain);
            let longest = explain::ratio(bounds.work, bounds.longest);
            let longest_bound = longest.min(workers.get().into());
            let [fresh, learned, runs] = self.runs(&priced, &expected, *workers)?;
            Ok(Virtual { fresh, learned, runs, chain_bound, longest_bound })
        };
        workers.iter().zip(&bounds.workers).map(on).collect()
    }

    fn graph(&self) -> Result<Graph, VirtualError> {
        let mut recording = explain::record(self.block, self.database, 0).map_err(invalid)?;
        for index in self.mispriced {
            if let Some(recorded) = recording.transactions.get_mut(*index) {
                recorded.gas = recorded.gas.saturating_mul(MISPRICED);
            }
        }
        Ok(Graph::new(&recording, Axis::Gas, &WhatIf::NOTHING))
    }

    /// Returns the speed-ups of the first and the last execution, and the total time of all runs of
    /// the slower one over sequential time.
    fn runs(
        &self,
        priced: &Priced,
        expected: &SequentialOutput,
        workers: NonZeroU16,
    ) -> Result<[f64; 3], VirtualError> {
        let mut executor = priced.executor(workers);
        if let Some((block, database)) = self.before {
            for _ in 0..EXECUTIONS {
                let source = braid_evm::Cloned(database.clone());
                let run = executor.execute(Arc::clone(block), source).map_err(invalid)?;
                run.result.map_err(invalid)?;
            }
        }
        let (mut fresh, mut learned, mut runs) = (0.0, 0.0, 0.0);
        for execution in 0..EXECUTIONS {
            let source = braid_evm::Cloned(self.database.clone());
            let run = executor.execute(Arc::clone(self.shared), source).map_err(invalid)?;
            let timeline = priced.timeline(&run, usize::from(workers.get()));
            let time = timeline.runs.iter().map(|run| run.end - run.begin).sum();
            let differences = outputs(expected, &run.result.map_err(invalid)?);
            if !differences.is_empty() {
                let (workers, differences) = (workers.get(), differences.to_string());
                return Err(VirtualError::Different { workers, differences });
            }
            learned = explain::ratio(priced.sequential(), timeline.end);
            if execution == 0 {
                fresh = learned;
            }
            if learned <= fresh {
                runs = 1.0 / explain::ratio(priced.sequential(), time).max(f64::MIN_POSITIVE);
            }
        }
        Ok([fresh, learned, runs])
    }

    /// Same, for a block that Braid must reject because its access list is wrong.
    ///
    /// # Errors
    /// Returns [`VirtualError::Accepted`], or an error if the block does not execute.
    pub fn refusals(&self, workers: &[NonZeroU16]) -> Result<Vec<Virtual>, VirtualError> {
        let priced = Priced::new(&self.graph()?, Axis::Gas);
        let on = |workers: &NonZeroU16| {
            let mut executor = priced.executor(*workers);
            let mut one = || {
                let source = braid_evm::Cloned(self.database.clone());
                let run = executor.execute(Arc::clone(self.shared), source).map_err(invalid)?;
                let timeline = priced.timeline(&run, usize::from(workers.get()));
                let time: u64 = timeline.runs.iter().map(|run| run.end - run.begin).sum();
                match run.result {
                    Err(error) if matches!(error.kind, BlockErrorKind::AccessList(_)) => {}
                    Err(error) => return Err(invalid(error)),
                    Ok(_) => return Err(VirtualError::Accepted { workers: workers.get() }),
                }
                Ok((explain::ratio(priced.sequential(), timeline.end), time))
            };
            let (fresh, time) = one()?;
            let mut learned = (fresh, time);
            for _ in 1..EXECUTIONS {
                learned = one()?;
            }
            let time = if learned.0 <= fresh { learned.1 } else { time };
            let runs = time as f64 / priced.sequential().max(1) as f64;
            let (chain_bound, longest_bound) = (f64::INFINITY, f64::INFINITY);
            Ok(Virtual { fresh, learned: learned.0, runs, chain_bound, longest_bound })
        };
        workers.iter().map(on).collect()
    }
}

fn invalid(error: impl core::fmt::Display) -> VirtualError {
    VirtualError::Invalid(error.to_string())
}
