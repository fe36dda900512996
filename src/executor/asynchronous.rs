//! An executor for asynchronous callers (feature `tokio`).

use super::{BlockRequest, Executor, NoState};
use crate::evm::{
    Block, BlockError, BlockOutput, BuiltBlock, CancellationToken, Cloned, Committed, StateSource,
    TransactionPool,
};
use crate::panics::caught;
use core::fmt;
use core::ops::ControlFlow;
use revm::DatabaseRef;
use revm::database::BundleState;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Something that the executor's thread does.
type Job = Box<dyn FnOnce(&mut Executor) + Send>;
type OnCommit = Box<dyn FnMut(Committed) -> ControlFlow<()> + Send>;

/// Requests that may wait for the executor before a caller waits to hand one in.
const WAITING: usize = 16;

/// A handle of an [`Executor`] that lives on a thread of its own, for asynchronous callers (feature
/// `tokio`). Its clones are one executor.
///
/// Awaiting a block takes no thread of the runtime: the executor's thread is worker 0, and its pool
/// has the others. Blocks are executed one after the other, in the order in which they were asked
/// for. The thread ends with the last handle.
#[derive(Clone)]
pub struct AsyncExecutor {
    jobs: mpsc::Sender<Job>,
}

impl fmt::Debug for AsyncExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncExecutor").finish_non_exhaustive()
    }
}

impl AsyncExecutor {
    /// Gives `executor` a thread.
    ///
    /// # Errors
    /// The system refused to start it.
    pub fn new(mut executor: Executor) -> std::io::Result<Self> {
        let (jobs, mut todo) = mpsc::channel::<Job>(WAITING);
        let body = move || {
            while let Some(job) = todo.blocking_recv() {
                // A job whose future is gone may panic while it is taken apart.
                let _ = caught(|| job(&mut executor));
            }
        };
        std::thread::Builder::new().name("braid-executor".to_owned()).spawn(body)?;
        Ok(Self { jobs })
    }

    /// Asks for `block`: what goes with it is added, and [`execute`](AsyncRequest::execute) or
    /// [`build`](AsyncRequest::build) is awaited.
    ///
    /// ```
    /// # use braid_evm::{AsyncExecutor, Block, ChainRules, Config, Executor};
    /// # use revm::database::{CacheDB, EmptyDB};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # let rules = ChainRules { system_calls: false, ..ChainRules::default() };
    /// # let block = Block { rules, ..Block::default() };
    /// # let database = CacheDB::new(EmptyDB::new());
    /// # runtime.block_on(async move {
    /// let executor = AsyncExecutor::new(Executor::new(Config::default())?)?;
    /// let output = executor.block(block).database(database).execute().await?;
    /// # assert_eq!(output.gas_used, 0);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn block(&self, block: impl Into<Arc<Block>>) -> AsyncRequest<NoState> {
        let (parent, on_commit, cancel) = Default::default();
        let (executor, block) = (self.clone(), block.into());
        AsyncRequest { executor, block, state: NoState, parent, on_commit, cancel }
    }

    /// Runs `body` on the executor's thread, after what was asked for before: to execute several
    /// blocks with nothing in between, for example.
    ///
    /// If the future is dropped before its turn comes `body` does not run. Once it runs it comes to
    /// its end: give its blocks a [`CancellationToken`].
    ///
    /// # Panics
    /// With the payload of a panic in `body`. The executor stays usable.
    pub async fn run<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Executor) -> T + Send + 'static,
    ) -> T {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |executor| {
            if !reply.is_closed() {
                let ran = caught(|| body(executor));
                // The future may have been dropped meanwhile.
                let _ = reply.send(ran);
            }
        });
        if self.jobs.send(job).await.is_err() {
            unreachable!("the thread ends with the last handle");
        }
        match answer.await {
            Ok(Ok(value)) => value,
            Ok(Err(payload)) => payload.resume(),
            Err(_) => unreachable!("a job that began is answered"),
        }
    }
}

/// A block that is to be executed or built: see [`AsyncExecutor::block`]. It is a [`BlockRequest`]
/// whose parts may go to another thread.
#[must_use = "nothing runs before `execute` or `build` is awaited"]
pub struct AsyncRequest<S> {
    executor: AsyncExecutor,
    block: Arc<Block>,
    state: S,
    parent: Option<BundleState>,
    on_commit: Option<OnCommit>,
    cancel: CancellationToken,
}

impl<S: fmt::Debug> fmt::Debug for AsyncRequest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRequest")
            .field("transactions", &self.block.transactions.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl AsyncRequest<NoState> {
    /// The state before the block; each worker opens a handle of it.
    pub fn state<S: StateSource + 'static>(self, source: S) -> AsyncRequest<S> {
        let Self { executor, block, state: NoState, parent, on_commit, cancel } = self;
        AsyncRequest { executor, block, state: source, parent, on_commit, cancel }
    }

    /// The state before the block, as a database that is cloned for each worker.
    pub fn database<D>(self, database: D) -> AsyncRequest<Cloned<D>>
    where
        D: DatabaseRef + Clone + Send + Sync + 'static,
    {
        self.state(Cloned(database))
    }
}

impl<S> AsyncRequest<S> {
    /// As [`BlockRequest::parent`].
    pub fn parent(mut self, parent: BundleState) -> Self {
        self.parent = Some(parent);
        self
    }

    /// As [`BlockRequest::on_commit`], on the executor's thread: do not block there; a channel
    /// whose `send` does not wait leads back into the runtime.
    pub fn on_commit(
        mut self,
        on_commit: impl FnMut(Committed) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.on_commit = Some(Box::new(on_commit));
        self
    }

    /// As [`BlockRequest::cancel`]: for the committed prefix, which is lost with a future that is
    /// dropped. Such a future cancels `token`.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = token;
        self
    }
}

impl<S: StateSource + 'static> AsyncRequest<S> {
    /// Executes the block when it is awaited. If the future is dropped the block ends: each worker
    /// ends the transaction that it runs, and begins no other one.
    ///
    /// # Errors
    /// As [`BlockRequest::execute`].
    ///
    /// # Panics
    /// As [`BlockRequest::execute`].
    pub async fn execute(
        self,
    ) -> Result<BlockOutput, BlockError<<S::State as DatabaseRef>::Error>> {
        self.run(|request| request.execute()).await
    }

    /// Builds a block from `pool` when it is awaited, and gives the pool back, also beside an
    /// error. The pool is asked on the executor's thread: it may wait for a lock, but for no task
    /// of the runtime. If the future is dropped the block ends as in [`execute`](Self::execute),
    /// and the pool goes with it; a token ends it with the block of what was committed.
    ///
    /// # Errors
    /// As [`BlockRequest::build`].
    ///
    /// # Panics
    /// As [`BlockRequest::build`]. The pool is lost then.
    pub async fn build<P: TransactionPool + Send + 'static>(
        self,
        mut pool: P,
    ) -> (P, Result<BuiltBlock, BlockError<<S::State as DatabaseRef>::Error>>) {
        let build = move |request: BlockRequest<'_, S>| {
            let built = request.build(&mut pool);
            (pool, built)
        };
        self.run(build).await
    }

    /// Hands the request to `run` on the executor's thread.
    async fn run<T: Send + 'static>(
        self,
        run: impl FnOnce(BlockRequest<'_, S>) -> T + Send + 'static,
    ) -> T {
        let Self { executor, block, state, parent, on_commit, cancel } = self;
        let mut guard = CancelOnDrop(Some(cancel.clone()));
        let body = move |executor: &mut Executor| {
            let mut request = executor.block(block).state(state).cancel(cancel);
            if let Some(parent) = parent {
                request = request.parent(parent);
            }
            if let Some(on_commit) = on_commit {
                request = request.on_commit(on_commit);
            }
            run(request)
        };
        let result = executor.run(body).await;
        guard.0 = None;
        result
    }
}

/// Cancels the token of a block whose future is dropped.
struct CancelOnDrop(Option<CancellationToken>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // A panic that goes on in the caller is no dropped future.
        if let Some(token) = self.0.as_ref().filter(|_| !std::thread::panicking()) {
            token.cancel();
        }
    }
}
