//! The entry points.

use crate::config::Config;
use crate::evm::{
    AnySource, Block, BlockError, BlockOutput, BuiltBlock, Cloned, Committed, EvmMutant,
    Extensions, OnCommit, Options, Precompile, Scoped, StateSource, Surcharge, Team,
    TransactionPool, build, execute,
};
use core::ops::ControlFlow;
use revm::DatabaseRef;
use revm::database::BundleState;
use revm::database_interface::ErasedError;
use std::sync::Arc;

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

    /// The same executor with a custom EVM. Precompiles and surcharge are not asked then.
    #[cfg(feature = "alloy")]
    #[must_use]
    pub(crate) fn with_evm(mut self, evm: Arc<dyn crate::evm::ForeignEvm>) -> Self {
        self.extensions.evm = Some(evm);
        self
    }

    /// The same executor for blocks whose caller does what surrounds the transactions: of a list
    /// only what it says of them is compared.
    #[cfg(feature = "alloy")]
    #[must_use]
    pub(crate) const fn with_surroundings_apart(mut self) -> Self {
        self.extensions.is_surrounded = true;
        self
    }

    /// Whether the next blocks yield access lists.
    #[cfg(feature = "alloy")]
    pub(crate) const fn set_access_list(&mut self, is_asked_for: bool) {
        self.config.access_list = is_asked_for;
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

    /// Waits until no worker holds a block or a database any more.
    ///
    /// A block does not wait for workers that it does not need: one that the system has put aside,
    /// on a busy machine, may hold the block and its handle of the database for some milliseconds
    /// after the result is there.
    pub fn wait_idle(&mut self) {
        self.team.wait_idle();
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
        let run = self.run(block.into(), AnySource::new(source), None, None);
        run.map_err(BlockError::typed)
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
        let parent = Some(Arc::new(parent));
        let run = self.run(block.into(), AnySource::new(source), parent, None);
        run.map_err(BlockError::typed)
    }

    /// Executes `block` and hands each transaction's outcome to `on_commit` as soon as it is
    /// committed, in order, on the calling thread, with no lock held, while later ones still run.
    /// [`ControlFlow::Break`] ends the block with [`Cancelled`](crate::BlockErrorKind::Cancelled).
    ///
    /// A block that is rejected later has already streamed what was committed before. A caller that
    /// wants to hear of each commit at once does without parts
    /// ([`Stats::parts`](crate::Stats::parts)), which blocks of many transactions that have nothing
    /// to do with each other gain most by.
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
        mut on_commit: impl FnMut(Committed) -> ControlFlow<()>,
    ) -> Result<BlockOutput, BlockError<<S::State as DatabaseRef>::Error>> {
        let run = self.run(block.into(), AnySource::new(source), None, Some(&mut on_commit));
        run.map_err(BlockError::typed)
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
        self.run_build(template, AnySource::new(source), pool).map_err(BlockError::typed)
    }

    // What follows is compiled here, once: it has no type of the caller's.

    fn run(
        &mut self,
        block: Arc<Block>,
        source: AnySource<'static>,
        parent: Option<Arc<BundleState>>,
        on_commit: Option<OnCommit<'_>>,
    ) -> Result<BlockOutput, BlockError<ErasedError>> {
        let options = self.options(parent, on_commit);
        execute(&mut self.team, block, source, options)
    }

    fn run_build(
        &mut self,
        template: Block,
        source: AnySource<'static>,
        pool: &mut dyn TransactionPool,
    ) -> Result<BuiltBlock, BlockError<ErasedError>> {
        let options = self.options(None, None);
        build(&mut self.team, template, source, pool, options)
    }

    fn options<'f>(
        &self,
        parent: Option<Arc<BundleState>>,
        on_commit: Option<OnCommit<'f>>,
    ) -> Options<'f> {
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
    run_scoped(config, block.into(), AnySource::new(Cloned(database))).map_err(BlockError::typed)
}

fn run_scoped(
    config: Config,
    block: Arc<Block>,
    source: AnySource<'_>,
) -> Result<BlockOutput, BlockError<ErasedError>> {
    let (extensions, mutant) = (Extensions::default(), EvmMutant::None);
    let options = Options { config, extensions, parent: None, on_commit: None, mutant };
    execute(&mut Scoped(config.workers), block, source, options)
}
