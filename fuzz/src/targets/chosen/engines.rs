//! Runs a block on the engine that an input selects.

use super::super::reached;
use super::choices::Choices;
use super::kept::Make;
use crate::hostile::declared::Declared;
use crate::lineup::Copies;
use crate::listed::Listed;
use crate::oracle::Expected;
use braid_evm::runtime::simulated::{Options, Simulator};
use braid_evm::{
    Block, BlockError, BlockOutput, Cloned, Config, Executor, Forced, Policy, SimulatedExecutor,
    Simulation, evm_simulator, simulate,
};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// Simulator whose fiber stacks are kept.
    static SIMULATOR: RefCell<Simulator> = RefCell::new(evm_simulator());
}

/// Engine that executes a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// An executor on threads.
    Threads,
    /// A whole executor on fibers, with a schedule that the input determines.
    Fibers,
    /// The workers that share a store, on fibers, which may be interrupted between any two reads.
    Store,
}

/// How a block is executed.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) engine: Engine,
    pub(super) config: Config,
    pub(super) schedule: Options,
    /// Number of times that one executor executes the block.
    pub(super) times: usize,
}

type Found<E> = Result<BlockOutput, BlockError<E>>;

/// An executor of either kind, for consecutive blocks.
enum Running {
    Threads(Make, Box<Executor>),
    Fibers(Box<SimulatedExecutor>),
    Store(Box<Simulation>),
}

impl Way {
    /// Draws one of `engines` with one of `policies`.
    pub(super) fn draw<const E: usize, const P: usize>(
        choices: &mut Choices<'_>,
        engines: [Engine; E],
        policies: [Policy; P],
    ) -> Self {
        let engine = choices.pick(engines);
        let mut config = choices.config(policies);
        // Without the whole executor, there are no strategies to change between.
        let is_known = matches!(config.policy, Policy::Sequential | Policy::Auto);
        if engine == Engine::Store && !is_known {
            config.policy = Policy::Forced(Forced::Speculative);
        }
        let schedule = choices.schedule(&config);
        Self { engine, config, schedule, times: 1 }
    }

    /// Executes `blocks` in sequence on one executor, and compares each with sequential execution
    /// on its database.
    ///
    /// # Errors
    /// Returns the first difference as text.
    pub(super) fn check<D: Copies>(&self, blocks: &[(Arc<Block>, D)]) -> Result<(), String>
    where
        D::Error: core::fmt::Debug,
    {
        reached::note(&format!("engine, {:?}", self.engine));
        let mut running = self.start()?;
        for (block, database) in blocks {
            let expected = Expected::new(block, self.config.engine.mode, database);
            for time in 0..self.times {
                let found = running.execute(block, database)?;
                reached::note_block(&self.config, &found);
                let compared = expected.compare_with_list(&found, self.config.access_list);
                compared.map_err(|wrong| format!("time {time}, {self:?}: {wrong}"))?;
            }
        }
        if let Running::Threads(make, executor) = running {
            make.keep(*executor);
        }
        Ok(())
    }

    /// Executes a block with an access list.
    ///
    /// # Errors
    /// Returns the difference as text.
    pub(super) fn check_listed<D: Copies>(
        &self,
        listed: &Listed<D::Error>,
        database: &D,
    ) -> Result<(), String>
    where
        D::Error: core::fmt::Debug,
    {
        reached::note(&format!("engine, {:?}", self.engine));
        reached::note(if listed.is_right() { "list, right" } else { "list, wrong" });
        let mut running = self.start()?;
        let found = running.execute(&listed.block, database)?;
        reached::note_block(&self.config, &found);
        let judged = listed.judge(&found, database, self.config.access_list);
        judged.map_err(|wrong| format!("{self:?}: {wrong}"))?;
        if let Running::Threads(make, executor) = running {
            make.keep(*executor);
        }
        Ok(())
    }

    /// Executes a block whose transactions declare their accesses.
    ///
    /// # Errors
    /// Returns the difference as text.
    pub(super) fn check_declared<D: Copies>(
        &self,
        declared: &Declared,
        database: &D,
    ) -> Result<(), String>
    where
        D::Error: core::fmt::Debug,
    {
        reached::note(&format!("engine, {:?}", self.engine));
        let mut running = self.start()?;
        let found = running.execute(&declared.block, database)?;
        reached::note_block(&self.config, &found);
        declared.judge(&self.config, &found).map_err(|wrong| format!("{self:?}: {wrong}"))?;
        if let Running::Threads(make, executor) = running {
            make.keep(*executor);
        }
        Ok(())
    }

    fn start(&self) -> Result<Running, String> {
        let (config, schedule) = (self.config, self.schedule.clone());
        Ok(match self.engine {
            Engine::Threads => {
                let make = Make::plain(config);
                Running::Threads(make, Box::new(make.take()?))
            }
            Engine::Fibers => {
                let executor = SimulatedExecutor::new(config, schedule);
                Running::Fibers(Box::new(executor))
            }
            Engine::Store => Running::Store(Box::new(Simulation::new(config, schedule))),
        })
    }
}

impl Running {
    /// Executes a block.
    ///
    /// # Errors
    /// Returns an error if the block does not end.
    fn execute<D: Copies>(
        &mut self,
        block: &Arc<Block>,
        database: &D,
    ) -> Result<Found<D::Error>, String> {
        let (block, source) = (Arc::clone(block), Cloned(database.clone()));
        match self {
            Self::Threads(_, executor) => Ok(executor.block(block).state(source).execute()),
            Self::Fibers(executor) => {
                let run = executor.execute(block, source);
                run.map(|run| run.result).map_err(|error| error.to_string())
            }
            Self::Store(simulation) => {
                let run = SIMULATOR
                    .with_borrow_mut(|simulator| simulate(simulator, block, source, simulation));
                run.map(|run| run.result).map_err(|error| error.to_string())
            }
        }
    }
}
