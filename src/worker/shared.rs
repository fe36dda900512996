//! State shared by all workers of a block.

use super::cancel::CancellationToken;
use super::coordinator::Coordinator;
use super::events::EngineEvent;
#[cfg(feature = "trace")]
use super::events::TraceEvent;
use super::machine::{LedgerOf, Workload};
use super::message::{JobMessage, ReportMessage};
use super::stop::NoResult;
use super::{Activity, Context};
use crate::error::Invariant;
use crate::ids::{Chunk, PerTx, TxIndex};
use crate::mv::{AccessLog, ConflictIndex, Store};
use crate::protocol::{Counters, Halt, Limits, Plan, Protocol};
use crate::spans::ParentSpan;
use crate::sync::{AtomicBool, AtomicU32, Mutex, Receiver, Sender, SeqCst, bounded};
use crate::trace::Log;
#[cfg(feature = "trace")]
use crate::trace::Ticket;
use std::sync::Arc;

/// Input of a block.
#[derive(Debug)]
pub struct Setup<W: Workload, G> {
    /// The transactions.
    pub workload: Arc<W>,
    /// Stores the outcomes.
    pub ledger: G,
    /// An empty store, or one with base values and the entries of lower transactions.
    pub store: Arc<Store<W::Location>>,
    /// Limits of the protocol.
    pub limits: Limits,
    /// The division of the block into jobs.
    pub plan: Plan,
    /// Cost after which a chunk ends early if it holds up the frontier.
    pub patience: u64,
}

/// A block in progress: the store, the channels and the coordinator.
///
/// A preempted worker may still hold a reference after the block is over, which does no harm: see
/// [`Shared::end`].
pub struct Shared<W: Workload, G> {
    pub(super) workload: Arc<W>,
    pub(super) store: Arc<Store<W::Location>>,
    pub(super) limits: Limits,
    pub(super) patience: u64,
    /// One past the last transaction.
    pub(super) transactions: u32,
    /// `None` once the result of the block was taken.
    pub(super) coordinator: Mutex<Option<Coordinator<W, G>>>,
    pub(super) jobs: Receiver<JobMessage<W>>,
    pub(super) report_sender: Sender<ReportMessage<W>>,
    pub(super) reports: Receiver<ReportMessage<W>>,
    /// Progress of the newest job that starts with each transaction: see `claims`.
    pub(super) claims: PerTx<AtomicU32>,
    /// Progress of each private batch.
    pub(super) batch_claims: Box<[AtomicU32]>,
    /// The private batches.
    pub(super) batches: Box<[Chunk]>,
    /// An empty access log, cloned for each batch, so that all logs have the same hash seed.
    pub(super) empty_log: AccessLog<W::Location>,
    /// Index below which everything was committed before the segment.
    pub(super) snapshot: TxIndex,
    pub(super) frontier: AtomicU32,
    stop_work: AtomicBool,
    cancelled: AtomicBool,
    /// The caller's token, which ends the block early.
    token: Option<CancellationToken>,
    /// A broken invariant that the coordinator has not handled yet.
    fault: Mutex<Option<Invariant>>,
    has_fault: AtomicBool,
    /// Span of the block, in builds with spans.
    pub(super) span: ParentSpan,
    pub(super) log: Log<EngineEvent<W::Location>>,
}

/// Result of a block.
#[derive(Debug)]
pub struct BlockEnd<W: Workload, G> {
    /// The outcomes of the committed prefix.
    pub ledger: G,
    /// The store, with the entries of the committed prefix.
    pub store: Arc<Store<W::Location>>,
    /// The transactions.
    pub workload: Arc<W>,
    /// The frontier: the lowest transaction that is not committed.
    pub frontier: TxIndex,
    /// Writes of committed transactions below this index are in the store; later ones are in the
    /// ledger.
    pub published: TxIndex,
    /// The writes that private batches have committed.
    pub conflicts: ConflictIndex<W::Location>,
    /// Number of private batches that committed at least one transaction.
    pub batches: u64,
    /// Why the block ended early.
    pub halt: Option<Halt>,
    /// Why the transaction that ended the block has no result.
    pub error: Option<NoResult<W::Rejection, W::BaseError>>,
    /// The first broken invariant.
    pub broken: Option<Invariant>,
    /// Counters of the protocol.
    pub counters: Counters,
    /// The plan's longest transactions, with the number of their runs.
    pub longest: Vec<(TxIndex, u32)>,
    /// Events of workers and the coordinator, if they were recorded.
    pub log: Log<EngineEvent<W::Location>>,
}

impl<W: Workload, G: LedgerOf<W>> Shared<W, G> {
    /// Creates a block. Nothing runs before the first call of [`work`](super::work).
    #[must_use]
    pub fn new(setup: Setup<W, G>) -> Self {
        let Setup { workload, ledger, store, limits, plan, patience } = setup;
        let protocol = Protocol::new(limits, &plan);
        Self::with_protocol(workload, ledger, store, patience, protocol)
    }

    /// Creates a block with the given protocol.
    #[must_use]
    pub fn with_protocol(
        workload: impl Into<Arc<W>>,
        ledger: G,
        store: impl Into<Arc<Store<W::Location>>>,
        patience: u64,
        protocol: Protocol,
    ) -> Self {
        let workload = workload.into();
        let store = store.into();
        let limits = protocol.limits();
        let first = protocol.frontier();
        let transactions = protocol.len();
        let (job_sender, jobs) = bounded(limits.job_capacity as usize);
        // The channel has room for the reports of all jobs, including the job outside the channel,
        // so that a worker never waits to send a report.
        let reports = if mutant!(ReportChannelShort) { 1 } else { limits.job_capacity + 1 };
        let (report_sender, reports) = bounded(reports as usize);
        let batches: Box<[Chunk]> = protocol.batches().collect();
        let index = store.conflict_index();
        let claims = protocol.published_range().map(|_| AtomicU32::new(0));
        Self {
            claims: PerTx::new(first, claims),
            batch_claims: batches.iter().map(|_| AtomicU32::new(0)).collect(),
            snapshot: first,
            batches,
            empty_log: index.log(),
            workload,
            store,
            limits,
            patience,
            transactions,
            coordinator: Mutex::new(Some(Coordinator::new(protocol, ledger, index, job_sender))),
            jobs,
            report_sender,
            reports,
            frontier: AtomicU32::new(first.0),
            stop_work: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            token: None,
            fault: Mutex::new(None),
            has_fault: AtomicBool::new(false),
            span: ParentSpan::current(),
            log: Log::off(),
        }
    }

    /// Lets `token` end the block early.
    #[must_use]
    pub fn with_token(mut self, token: Option<CancellationToken>) -> Self {
        self.token = token;
        self
    }

    /// Records all events of the block: see [`BlockEnd::take_trace`].
    #[cfg(feature = "trace")]
    #[must_use]
    pub fn with_trace(mut self) -> Self {
        if let Some(store) = Arc::get_mut(&mut self.store) {
            store.start_trace();
        }
        self.log = Log::on();
        self
    }

    /// Returns the transactions.
    pub fn workload(&self) -> &W {
        &self.workload
    }

    /// Returns the multi-version store of this block.
    pub fn store(&self) -> &Store<W::Location> {
        &self.store
    }

    /// Ends the block early, as soon as the coordinator lock is taken next.
    pub fn cancel(&self) {
        self.cancelled.store(true, SeqCst);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        let token = self.token.as_ref().is_some_and(CancellationToken::is_cancelled);
        token || self.cancelled.load(SeqCst)
    }

    pub(super) fn stop_work(&self) {
        self.stop_work.store(true, SeqCst);
    }

    /// Notifies the workers that run `stale_readers` that a value read by their run may have
    /// changed.
    pub(super) fn notify_readers<X: Context>(&self, stale_readers: &[TxIndex], context: &X) {
        for tx in stale_readers.iter().filter(|tx| self.store.name_running(**tx)) {
            context.report(Activity::Overtook(*tx));
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop_work.load(SeqCst) || self.is_cancelled()
    }

    /// Returns whether all transactions have committed, or work has to stop.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn is_over(&self) -> bool {
        self.is_stopped() || self.frontier.load(SeqCst) >= self.transactions
    }

    /// Reports a broken invariant to the coordinator.
    pub(super) fn post_fault(&self, broken: Invariant) {
        *self.fault.lock() = Some(broken);
        // A swap, as in `take_fault`: loom does not order a plain store against swaps.
        self.has_fault.swap(true, SeqCst);
    }

    pub(super) fn take_fault(&self) -> Option<Invariant> {
        if self.has_fault.swap(false, SeqCst) { self.fault.lock().take() } else { None }
    }

    /// Returns whether the coordinator has a report or a fault to handle.
    pub(super) fn needs_coordinator(&self) -> bool {
        !self.reports.is_empty() || self.has_fault.load(SeqCst)
    }

    /// Returns the result of the block, after one worker has returned from [`work`](super::work).
    /// Other workers need not have returned; their actions no longer have an effect. Returns `None`
    /// if the result was taken before.
    #[must_use]
    pub fn end(&self) -> Option<BlockEnd<W, G>> {
        let coordinator = self.coordinator.lock().take()?;
        let workload = Arc::clone(&self.workload);
        Some(coordinator.into_end(workload, Arc::clone(&self.store), self.log.take()))
    }
}

#[cfg(feature = "trace")]
impl<W: Workload, G> BlockEnd<W, G> {
    /// Returns all events of the block in the order of their tickets, if they were recorded.
    pub fn take_trace(&mut self) -> Vec<(Ticket, TraceEvent<W::Location>)> {
        let engine = core::mem::replace(&mut self.log, Log::off()).into_events().into_iter();
        let engine = engine.map(|(at, event)| (at, TraceEvent::Engine(event)));
        // Possible once all workers have dropped the store.
        let store = Arc::get_mut(&mut self.store).map(Store::take_trace);
        let store = store.into_iter().flatten();
        let store = store.map(|(at, event)| (at, TraceEvent::Store(event)));
        let mut trace: Vec<_> = store.chain(engine).collect();
        trace.sort_by_key(|(at, _)| *at);
        trace
    }
}

impl<W: Workload, G> core::fmt::Debug for Shared<W, G> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}
