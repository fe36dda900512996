//! The entry points.

use crate::config::Config;
use crate::evm::{
    Block, BlockError, BlockOutput, BuiltBlock, Cloned, Committed, EvmMutant, Extensions, Options,
    Precompile, Scoped, StateSource, Surcharge, Team, TransactionPool, build, execute,
};
use core::ops::ControlFlow;
use revm::DatabaseRef;
use revm::database::BundleState;
use std::sync::Arc;

type NoStream = fn(Committed) -> ControlFlow<()>;

/// Executes blocks on threads that outlive them.
///
/// The calling thread is one of the workers. One block is executed at a time; what a block leaves
/// behind is nothing but idle threads and memory for the next one, whatever happened in it.
#[derive(Debug)]
pub struct Executor {
    config: Config,
    team: Team,
    extensions: Extensions,
    mutant: EvmMutant,
}

impl Executor {
    /// An executor with its threads: one fewer than workers.
    ///
    /// # Errors
    /// The system refused to start a thread.
    pub fn new(config: Config) -> std::io::Result<Self> {
        let workers = (config.workers.get(), config.most_workers());
        let team = Team::new(workers, config.spread_workers)?;
        Ok(Self { config, team, extensions: Extensions::default(), mutant: EvmMutant::None })
    }

    /// The same executor with precompiles beside Ethereum's.
    #[must_use]
    pub fn with_precompiles(mut self, precompiles: Vec<Arc<dyn Precompile>>) -> Self {
        self.extensions.precompiles = precompiles.into();
        self
    }

    /// The same executor with a fee that every transaction pays on top of its gas.
    #[must_use]
    pub fn with_surcharge(mut self, surcharge: Arc<dyn Surcharge>) -> Self {
        self.extensions.surcharge = Some(surcharge);
        self
    }

    /// The same executor with somebody else's EVM. Precompiles and surcharge are not asked then.
    #[cfg(feature = "alloy")]
    #[must_use]
    pub(crate) fn with_evm(mut self, evm: Arc<dyn crate::evm::ForeignEvm>) -> Self {
        self.extensions.evm = Some(evm);
        self
    }

    /// The same executor with a seeded bug, for tests of the tests.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub const fn with_mutant(mut self, mutant: EvmMutant) -> Self {
        self.mutant = mutant;
        self
    }

    /// The choices that it was made with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Executes `block` on the state of `database`, of which each worker gets a clone.
    ///
    /// # Errors
    /// [`BlockError`], with what was committed before: the database failed, or (in validate mode)
    /// a transaction is invalid. It names the transaction that sequential execution would name.
    ///
    /// # Panics
    /// With the payload of a panic in the database or a precompile that recurs on the real state.
    /// The executor stays usable.
    pub fn execute<D>(
        &mut self,
        block: impl Into<Arc<Block>>,
        database: D,
    ) -> Result<BlockOutput, BlockError<D::Error>>
    where
        D: DatabaseRef + Clone + Send + Sync + 'static,
    {
        self.execute_source(block, Cloned(database))
    }

    /// Executes `block` on the state of `source`, of which each worker opens a handle.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    ///
    /// # Panics
    /// As [`execute`](Self::execute).
    pub fn execute_source<S: StateSource + 'static>(
        &mut self,
        block: impl Into<Arc<Block>>,
        source: S,
    ) -> Result<BlockOutput, BlockError<<S::State as DatabaseRef>::Error>> {
        let options = self.options(None, None::<NoStream>);
        execute(&mut self.team, block.into(), source, options)
    }

    /// Executes `block` on `parent` over the state of `source`: the bundle of blocks that are not
    /// written yet. The output's bundle is `parent` continued.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    ///
    /// # Panics
    /// As [`execute`](Self::execute).
    pub fn execute_on<S: StateSource + 'static>(
        &mut self,
        block: impl Into<Arc<Block>>,
        source: S,
        parent: BundleState,
    ) -> Result<BlockOutput, BlockError<<S::State as DatabaseRef>::Error>> {
        let options = self.options(Some(Arc::new(parent)), None::<NoStream>);
        execute(&mut self.team, block.into(), source, options)
    }

    /// Executes `block` and hands each transaction's outcome to `on_commit` as soon as it is
    /// committed, in order, on the calling thread, with no lock held, while later ones still run.
    /// [`ControlFlow::Break`] ends the block with [`Cancelled`](crate::BlockErrorKind::Cancelled).
    ///
    /// A block that is rejected later has already streamed what was committed before. Whoever wants to
    /// hear of each commit at once does without parts ([`Stats::parts`](crate::Stats::parts)), which blocks
    /// of many transactions that have nothing to do with each other gain most by.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), or cancelled.
    ///
    /// # Panics
    /// As [`execute`](Self::execute), or with the payload of `on_commit`.
    pub fn execute_streaming<S: StateSource + 'static>(
        &mut self,
        block: impl Into<Arc<Block>>,
        source: S,
        on_commit: impl FnMut(Committed) -> ControlFlow<()>,
    ) -> Result<BlockOutput, BlockError<<S::State as DatabaseRef>::Error>> {
        let options = self.options(None, Some(on_commit));
        execute(&mut self.team, block.into(), source, options)
    }

    /// Builds a block from transactions that `pool` hands out while the block fills. Invalid ones
    /// are left out, whatever the configured mode. `template` is the block without, or with the
    /// first of, its transactions.
    ///
    /// The result depends on the pool and the state, not on the number of workers.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    ///
    /// # Panics
    /// As [`execute`](Self::execute).
    pub fn build<S: StateSource + 'static>(
        &mut self,
        template: Block,
        source: S,
        pool: &mut impl TransactionPool,
    ) -> Result<BuiltBlock, BlockError<<S::State as DatabaseRef>::Error>> {
        let options = self.options(None, None::<NoStream>);
        build(&mut self.team, template, source, pool, options)
    }

    fn options<F>(&self, parent: Option<Arc<BundleState>>, on_commit: Option<F>) -> Options<F> {
        let extensions = self.extensions.clone();
        Options { config: self.config, extensions, parent, on_commit, mutant: self.mutant }
    }
}

/// Executes `block` on a borrowed database, on threads that are started for this call and end
/// with it. Starting them costs about 50 microseconds for two workers; an [`Executor`] keeps its
/// threads.
///
/// # Errors
/// As [`Executor::execute`].
///
/// # Panics
/// As [`Executor::execute`].
pub fn execute_scoped<D: DatabaseRef + Sync>(
    config: Config,
    block: impl Into<Arc<Block>>,
    database: &D,
) -> Result<BlockOutput, BlockError<D::Error>> {
    let options = Options {
        config,
        extensions: Extensions::default(),
        parent: None,
        on_commit: None::<NoStream>,
        mutant: EvmMutant::None,
    };
    execute(&mut Scoped(config.workers), block.into(), Cloned(database), options)
}
