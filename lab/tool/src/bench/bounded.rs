//! A block measured beside its bounds: what Braid reaches of what it could reach, with and without memory of earlier
//! blocks.

use braid_cli::{
    bench::{BenchError, Figures, Subject, Timing, measure},
    explain::{self, Axis, Graph, Recording, WhatIf},
};
use braid_evm::{Config, Executor, Strategy, Stretch};
use braid_testkit::{block::Block, block_file::FileDatabase};
use core::{fmt::Display, num::NonZeroU16};
use std::{collections::HashMap, sync::Arc};

/// What a block came to on some number of workers.
#[derive(Clone, Debug)]
pub struct Bounded {
    /// An executor that has seen the block before.
    pub learned: Figures,
    /// One that does not learn.
    pub fresh: Figures,
    /// How many times faster than in sequence whole runs can be, at best, where each waits for the runs that it needs.
    pub chain_bound: f64,
    /// The same where it waits at its first read of what they write.
    pub late_bound: f64,
    /// How the one that has learned ran the block.
    pub path: Vec<Stretch>,
}

impl Bounded {
    /// Measures `block`.
    ///
    /// # Errors
    /// Some result is not the sequential one; or the block is not valid.
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
        Ok(Self { learned, fresh, chain_bound, late_bound, path: again.path })
    }

    /// The bound by chains, times what as many cores of this machine as there are workers come to over their number; not
    /// below 1, as running in order does not wait for another core.
    #[must_use]
    pub fn bound(&self) -> f64 {
        let workers = f64::from(self.learned.workers);
        (self.chain_bound * self.learned.ceiling().unwrap_or(workers) / workers).max(1.0)
    }

    /// What was reached of the bound, by the slower one of both executors.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.slower() / self.bound().max(f64::MIN_POSITIVE)
    }

    /// The smaller one of both ratios.
    #[must_use]
    pub fn slower(&self) -> f64 {
        self.learned.ratio().min(self.fresh.ratio())
    }

    /// Processor time over that of sequential execution, of both executors the larger one.
    #[must_use]
    pub fn cpu(&self) -> f64 {
        self.learned.cpu_ratio().max(self.fresh.cpu_ratio())
    }

    /// How most of its transactions ran.
    #[must_use]
    pub fn strategy(&self) -> Option<Strategy> {
        let mut counts: HashMap<Strategy, u32> = HashMap::new();
        for stretch in &self.path {
            *counts.entry(stretch.strategy).or_default() += stretch.end - stretch.first;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(strategy, _)| strategy)
    }

    /// The longest stretch of the block and how it ran.
    #[must_use]
    pub fn longest(&self) -> Option<&Stretch> {
        self.path.iter().max_by_key(|it| it.end - it.first)
    }
}

fn invalid(error: impl Display) -> BenchError {
    BenchError::Invalid(error.to_string())
}

/// How many times faster than in sequence `workers` can be at best: whole runs, and late reads.
fn bounds(
    block: &Block,
    database: &FileDatabase,
    workers: NonZeroU16,
) -> Result<(f64, f64), BenchError> {
    // The fastest round of each transaction counts.
    let recording: Recording = explain::record(block, database, 3).map_err(invalid)?;
    let graph = Graph::new(&recording, Axis::Time, &WhatIf::NOTHING);
    let bounds = graph.bounds(&[usize::from(workers.get())]);
    let ratio = |span| explain::ratio(bounds.work, span);
    Ok(bounds.workers.first().map_or((1.0, 1.0), |on| (ratio(on.chain), ratio(on.late_read))))
}
