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

/// A closure to run on the executor's thread.
type Task = Box<dyn FnOnce(&mut Executor) + Send>;
type OnCommit = Box<dyn FnMut(Committed) -> ControlFlow<()> + Send>;

/// Capacity of the job queue. Callers wait while it is full.
const QUEUE_CAPACITY: usize = 16;

/// Handle of an [`Executor`] that runs on its own thread, for asynchronous callers (feature
/// `tokio`). Clones share one executor.
///
/// Awaiting a block occupies no thread of the runtime: the executor's thread is worker 0, and the
/// other workers run in its pool. Blocks are executed one at a time, in the order of the requests.
/// The thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct AsyncExecutor {
    jobs: mpsc::Sender<Task>,
}

impl fmt::Debug for AsyncExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncExecutor").finish_non_exhaustive()
    }
}

impl AsyncExecutor {
    /// Moves `executor` to a new thread.
    ///
    /// # Errors
    /// Returns an error if the system refuses to start the thread.
    pub fn new(mut executor: Executor) -> std::io::Result<Self> {
        let (jobs, mut inbox) = mpsc::channel::<Task>(QUEUE_CAPACITY);
        let body = move || {
            while let Some(job) = inbox.blocking_recv() {
                // If the future of a job was dropped, dropping the parts of the job may panic.
                let _ = caught(|| job(&mut executor));
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the caller's thread must not block")]
        std::thread::Builder::new().name("braid-executor".to_owned()).spawn(body)?;
        Ok(Self { jobs })
    }

    /// Starts a request for `block`. Add the state and options, then await
    /// [`execute`](AsyncRequest::execute) or [`build`](AsyncRequest::build).
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
        AsyncRequest {
            executor: self.clone(),
            block: block.into(),
            state: NoState,
            parent: None,
            on_commit: None,
            cancel: CancellationToken::new(),
        }
    }

    /// Runs `body` on the executor's thread, after all earlier requests. Use it, for example, to
    /// execute several blocks without another request in between.
    ///
    /// If the future is dropped before `body` starts, `body` does not run. Once started, `body`
    /// runs to its end even if the future is dropped; to stop its blocks, give them a
    /// [`CancellationToken`].
    ///
    /// # Panics
    /// Panics with the payload of a panic in `body`. The executor stays usable.
    pub async fn run<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Executor) -> T + Send + 'static,
    ) -> T {
        let (reply, answer) = oneshot::channel();
        let job: Task = Box::new(move |executor| {
            if !reply.is_closed() {
                let ran = caught(|| body(executor));
                // Fails if the future was dropped in the meantime.
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

/// A block to be executed or built: see [`AsyncExecutor::block`]. Like a [`BlockRequest`], but its
/// parts can be sent to another thread.
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
    /// Sets the state before the block; each worker opens its own handle of `source`.
    pub fn state<S: StateSource + 'static>(self, source: S) -> AsyncRequest<S> {
        let Self { executor, block, state: NoState, parent, on_commit, cancel } = self;
        AsyncRequest { executor, block, state: source, parent, on_commit, cancel }
    }

    /// Sets the state before the block to a database, which is cloned for each worker.
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

    /// As [`BlockRequest::on_commit`], but called on the executor's thread. The callback must not
    /// block; to pass commits to a task, use a channel whose `send` does not block.
    pub fn on_commit(
        mut self,
        on_commit: impl FnMut(Committed) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.on_commit = Some(Box::new(on_commit));
        self
    }

    /// As [`BlockRequest::cancel`]. A cancellation returns the committed prefix. Dropping the
    /// future also cancels `token`, but loses the prefix.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = token;
        self
    }
}

impl<S: StateSource + 'static> AsyncRequest<S> {
    /// Executes the block. If the future is dropped, the block ends: each worker finishes its
    /// current transaction and starts no other.
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

    /// Builds a block from `pool`, and returns the pool and the result, even if the build fails.
    /// The pool is called on the executor's thread, so it may wait for a lock, but not for a task
    /// of the runtime. If the future is dropped, the block ends as in
    /// [`execute`](Self::execute) and the pool is dropped; after a cancellation by token, the
    /// committed transactions are returned as a block.
    ///
    /// # Errors
    /// As [`BlockRequest::build`].
    ///
    /// # Panics
    /// As [`BlockRequest::build`]. The pool is then lost.
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

    /// Calls `run` with the request on the executor's thread.
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

/// Guard that cancels the token of a block when the future of the block is dropped.
struct CancelOnDrop(Option<CancellationToken>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // A panic of the block also drops the guard, but not the future.
        if let Some(token) = self.0.as_ref().filter(|_| !std::thread::panicking()) {
            token.cancel();
        }
    }
}
