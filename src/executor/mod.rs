//! Entry points: the executor, its requests, and one-off execution.

#[cfg(feature = "tokio")]
mod asynchronous;
mod request;

#[cfg(feature = "tokio")]
pub use asynchronous::{AsyncExecutor, AsyncRequest};
pub use request::{BlockRequest, NoState};

use crate::config::Config;
use crate::evm::{
    AnySource, Block, BlockError, BlockOutput, BuiltBlock, CancellationToken, Cloned, Extensions,
    LimitedPool, OnCommit, Options, Precompile, Scoped, Surcharge, ThreadPool, TransactionPool,
    build, execute,
};
use revm::DatabaseRef;
use revm::database::BundleState;
use revm::database_interface::ErasedError;
use std::sync::Arc;

/// Executes blocks on a pool of threads, which outlives the blocks.
///
/// The calling thread is one of the workers, and one block is executed at a time. The executor
/// stays usable after every error and panic of a block.
#[derive(Debug)]
pub struct Executor {
    config: Config,
    threads: ThreadPool,
    extensions: Extensions,
}

impl Executor {
    /// Creates an executor and starts its threads, one fewer than there are workers.
    ///
    /// # Errors
    /// Returns an error if the system refuses to start a thread.
    pub fn new(config: Config) -> std::io::Result<Self> {
        let config = config.clamped();
        let threads = ThreadPool::for_config(&config)?;
        Ok(Self { config, threads, extensions: Extensions::default() })
    }

    /// Adds precompiles to Ethereum's.
    #[must_use]
    pub fn with_precompiles(mut self, precompiles: Vec<Arc<dyn Precompile>>) -> Self {
        self.extensions.precompiles = precompiles.into();
        self
    }

    /// Adds a fee that every transaction pays on top of its gas.
    #[must_use]
    pub fn with_surcharge(mut self, surcharge: Arc<dyn Surcharge>) -> Self {
        self.extensions.surcharge = Some(surcharge);
        self
    }

    /// Runs transactions with a custom EVM, which ignores the precompiles and the surcharge.
    #[cfg(feature = "alloy")]
    #[must_use]
    pub(crate) fn with_evm(mut self, evm: Arc<dyn crate::evm::CustomEvm>) -> Self {
        self.extensions.evm = Some(evm);
        self
    }

    /// Leaves the pre-block and post-block calls to the caller. An access list is then compared
    /// with the transactions only.
    #[cfg(feature = "alloy")]
    #[must_use]
    pub(crate) const fn without_surrounding_calls(mut self) -> Self {
        self.extensions.has_external_steps = true;
        self
    }

    /// Sets whether the next blocks return access lists.
    #[cfg(feature = "alloy")]
    pub(crate) const fn set_access_list(&mut self, enabled: bool) {
        self.config.access_list = enabled;
    }

    /// Returns whether sharing cannot pay for a caller that commits each transaction of `block` to
    /// its own database. If so, the executor's back-offs advance as if it had run the block
    /// sequentially, so call this once per block.
    #[cfg(feature = "alloy")]
    pub(crate) fn runs_sequentially(&mut self, block: &Block) -> bool {
        crate::evm::runs_sequentially(&mut self.threads, block, &self.config)
    }

    /// Returns the configuration, with each value clamped to its bounds.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Waits until no worker holds a block or a database any more.
    ///
    /// An execution returns without waiting for workers that it no longer needs. On a busy machine,
    /// a preempted worker may hold the block and its database handle for some milliseconds after
    /// the result is returned.
    pub fn wait_idle(&mut self) {
        self.threads.wait_idle();
    }

    // The methods below are not generic, so that they are compiled once, in this crate.

    pub(crate) fn run(
        &mut self,
        block: Arc<Block>,
        source: AnySource<'static>,
        parts: RequestParts<'_>,
    ) -> Result<BlockOutput, BlockError<ErasedError>> {
        let max_workers = parts.max_workers;
        let options = self.options(parts);
        let mut workers = LimitedPool { worker_pool: &mut self.threads, max_workers };
        execute(&mut workers, block, source, options)
    }

    fn run_build(
        &mut self,
        template: Block,
        source: AnySource<'static>,
        pool: &mut dyn TransactionPool,
        parts: RequestParts<'_>,
    ) -> Result<BuiltBlock, BlockError<ErasedError>> {
        let max_workers = parts.max_workers;
        let options = self.options(parts);
        let mut workers = LimitedPool { worker_pool: &mut self.threads, max_workers };
        build(&mut workers, template, source, pool, options)
    }

    fn options<'f>(&self, parts: RequestParts<'f>) -> Options<'f> {
        let RequestParts { parent, on_commit, cancel, .. } = parts;
        let extensions = self.extensions.clone();
        Options { config: self.config, extensions, parent, on_commit, cancel }
    }
}

/// Parent bundle, commit callback, cancellation token and maximum number of workers of a request.
pub(crate) struct RequestParts<'f> {
    pub(crate) parent: Option<Arc<BundleState>>,
    pub(crate) on_commit: Option<OnCommit<'f>>,
    pub(crate) cancel: Option<CancellationToken>,
    pub(crate) max_workers: usize,
}

/// Executes `block` on a borrowed database, on threads that are started for this call and end with
/// it. An [`Executor`] keeps its threads from block to block and saves the time to start them.
///
/// # Errors
/// As [`BlockRequest::execute`].
///
/// # Panics
/// As [`BlockRequest::execute`].
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
    let config = config.clamped();
    let extensions = Extensions::default();
    let options = Options { config, extensions, parent: None, on_commit: None, cancel: None };
    execute(&mut Scoped(config.workers), block, source, options)
}
