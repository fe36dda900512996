//! A block measured against its upper bounds, with and without learning from earlier blocks.

use braid_blocks::{block::Block, block_file::FileDatabase, timing::Timing};
use braid_cli::{
    bench::{BenchError, Figures, Subject, measure},
    explain::{self, Axis, Graph, Recording, WhatIf},
};
use braid_evm::{Config, Executor, Segment, Strategy};
use core::{fmt::Display, num::NonZeroU16};
use std::{collections::HashMap, sync::Arc};

/// Measurement of a block on some number of workers.
#[derive(Clone, Debug)]
pub struct Bounded {
    /// Figures of an executor that has executed the block before.
    pub learned: Figures,
    /// Figures of an executor that does not learn.
    pub fresh: Figures,
    /// Best possible speed-up if each transaction waits for the whole runs of those it depends on.
    pub chain_bound: f64,
    /// Best possible speed-up if each transaction waits only at its first dependent read.
    pub late_bound: f64,
    /// How the learned executor ran the block.
    pub segments: Vec<Segment>,
}

impl Bounded {
    /// Measures `block`.
    ///
    /// # Errors
    /// Returns an error if the block is invalid or a result differs from the sequential one.
    pub fn measure(
        name: &impl Display,
        block: &Block,
        database: &FileDatabase,
        workers: NonZeroU16,
        timing: Timing,
    ) -> Result<Self, BenchError> {
        let shared = Arc::new(braid_evm::Block::from(block));
        let executor = |learns: bool| {
            let mut config = Config::with_workers(workers);
            config.learn = learns;
            Executor::new(config).map_err(invalid)
        };
        let mut executors = [executor(true)?, executor(false)?];
        let name = name.to_string();
        let subject = Subject {
            name: &name,
            block,
            shared: &shared,
            database: &|| database.clone(),
            reads: None,
        };
        let figures = measure(&subject, &mut executors, timing)?;
        let Ok([learned, fresh]) = <[Figures; 2]>::try_from(figures) else {
            unreachable!("one for each executor")
        };
        let (chain_bound, late_bound) = bounds(block, database, workers)?;
        let [executor, _] = &mut executors;
        let again = executor.block(shared).database(database.clone()).execute().map_err(invalid)?;
        Ok(Self { learned, fresh, chain_bound, late_bound, segments: again.segments })
    }

    /// Returns the chain bound, scaled by the measured efficiency of as many cores of this machine
    /// as there are workers. At least 1, because sequential execution waits for no other core.
    #[must_use]
    pub fn bound(&self) -> f64 {
        let workers = f64::from(self.learned.workers);
        (self.chain_bound * self.learned.ceiling().unwrap_or(workers) / workers).max(1.0)
    }

    /// Returns the fraction of the bound that the slower executor reached.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.slower() / self.bound().max(f64::MIN_POSITIVE)
    }

    /// Returns the smaller of the two speed-ups.
    #[must_use]
    pub fn slower(&self) -> f64 {
        self.learned.ratio().min(self.fresh.ratio())
    }

    /// Returns processor time over sequential processor time, for the worse executor.
    #[must_use]
    pub fn cpu(&self) -> f64 {
        self.learned.cpu_ratio().max(self.fresh.cpu_ratio())
    }

    /// Returns the strategy that ran most of the transactions.
    #[must_use]
    pub fn strategy(&self) -> Option<Strategy> {
        let mut counts: HashMap<Strategy, u32> = HashMap::new();
        for segment in &self.segments {
            *counts.entry(segment.strategy).or_default() += segment.end - segment.first;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(strategy, _)| strategy)
    }

    /// Returns the longest segment of the block.
    #[must_use]
    pub fn longest(&self) -> Option<&Segment> {
        self.segments.iter().max_by_key(|it| it.end - it.first)
    }
}

fn invalid(error: impl Display) -> BenchError {
    BenchError::Invalid(error.to_string())
}

/// Returns the two bounds on the speed-up with `workers`: whole runs, and late reads.
fn bounds(
    block: &Block,
    database: &FileDatabase,
    workers: NonZeroU16,
) -> Result<(f64, f64), BenchError> {
    // The fastest of three rounds counts, for each transaction.
    let recording: Recording = explain::record(block, database, 3).map_err(invalid)?;
    let graph = Graph::new(&recording, Axis::Time, &WhatIf::NOTHING);
    let bounds = graph.bounds(&[usize::from(workers.get())]);
    let ratio = |span| explain::ratio(bounds.work, span);
    Ok(bounds.workers.first().map_or((1.0, 1.0), |on| (ratio(on.chain), ratio(on.late_read))))
}
