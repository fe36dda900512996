//! A worker's means to run toy transactions, and the measurements that it makes itself.

use super::claims::{ToyClaims, Wrong};
use super::ledger::ToyLedger;
use super::location::{SLOTS, ToyLocation};
use super::program::{Halted, ToyBlock, ToyOutput, ToyRejection, ToyState, run_program};
use braid_evm::ids::{TxIndex, WorkerId};
use braid_evm::mv::{Entry, Location, ReadSet};
use braid_evm::worker::{Base, Context, Effects, Machine, Stop, Stopped, View};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The base value of this location cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseFailed(pub ToyLocation);

/// A place where several running transactions wait for each other: proof that they run at the
/// same time.
#[derive(Debug)]
pub struct Rendezvous {
    parties: u32,
    arrived: Mutex<u32>,
    complete: Condvar,
}

impl Rendezvous {
    /// A meeting of `parties` parties.
    #[must_use]
    pub const fn new(parties: u32) -> Self {
        Self { parties, arrived: Mutex::new(0), complete: Condvar::new() }
    }

    /// Waits for the others, unless all have met already. Gives up after ten seconds, so that a
    /// test fails where the engine runs one transaction at a time.
    fn meet(&self) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        *arrived += 1;
        self.complete.notify_all();
        let waiting = |arrived: &mut u32| *arrived < self.parties;
        let patience = Duration::from_secs(10);
        drop(self.complete.wait_timeout_while(arrived, patience, waiting));
    }
}

/// The transactions of a toy block, with what their machines count.
#[derive(Debug)]
pub struct ToyWorkload {
    block: Arc<ToyBlock>,
    rendezvous: Option<Rendezvous>,
    lost_worker: Option<WorkerId>,
    /// The list that the block comes with, which private batches read.
    claims: Option<Arc<ToyClaims>>,
    wrong: Wrong,
    /// Base reads up to the one that fails.
    until_failure: Option<AtomicU64>,
    runs: Box<[AtomicU32]>,
    running: AtomicU32,
    peak: AtomicU32,
}

impl ToyWorkload {
    /// The transactions of `block`.
    #[must_use]
    pub fn new(block: Arc<ToyBlock>) -> Self {
        let runs = block.transactions.iter().map(|_| AtomicU32::new(0)).collect();
        let (running, peak) = (AtomicU32::new(0), AtomicU32::new(0));
        let (rendezvous, lost_worker, until_failure) = (None, None, None);
        let (claims, wrong) = Default::default();
        Self { block, rendezvous, lost_worker, claims, wrong, until_failure, runs, running, peak }
    }

    /// The same with a place to meet.
    #[must_use]
    pub fn with_rendezvous(mut self, rendezvous: Rendezvous) -> Self {
        self.rendezvous = Some(rendezvous);
        self
    }

    /// The same, where this worker panics before its first transaction: a bug of the engine's
    /// own kind, outside every guard for transactions.
    #[must_use]
    pub const fn with_lost_worker(mut self, worker: WorkerId) -> Self {
        self.lost_worker = Some(worker);
        self
    }

    /// The same, where one base read fails, whichever transaction makes it: the one after `others`
    /// others.
    #[must_use]
    pub const fn with_failing_read(mut self, others: u64) -> Self {
        self.until_failure = Some(AtomicU64::new(others + 1));
        self
    }

    /// The same with a list that private batches read.
    #[must_use]
    pub fn with_claims(self, claims: Option<Arc<ToyClaims>>) -> Self {
        Self { claims, ..self }
    }

    /// The lowest transaction with a run that differed from the list.
    #[must_use]
    pub fn first_wrong(&self) -> Option<TxIndex> {
        self.wrong.first()
    }

    pub(super) fn note_wrong(&self, tx: TxIndex) {
        self.wrong.note(tx);
    }

    pub(super) fn claims(&self) -> Option<&ToyClaims> {
        self.claims.as_deref()
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> &ToyBlock {
        &self.block
    }

    /// A ledger for the block.
    #[must_use]
    pub fn ledger(&self) -> ToyLedger {
        let limits = self.block.transactions.iter().map(|tx| tx.limit).collect();
        ToyLedger::new(limits, self.block.room)
    }

    pub(super) fn base(&self) -> ToyBase<'_> {
        ToyBase { block: &self.block, until_failure: self.until_failure.as_ref(), listed: None }
    }

    pub(super) fn is_lost(&self, worker: WorkerId) -> bool {
        self.lost_worker == Some(worker)
    }

    /// Most simultaneous runs.
    #[must_use]
    pub fn peak(&self) -> u32 {
        self.peak.load(SeqCst)
    }

    /// Runs of transaction `tx` so far.
    #[must_use]
    pub fn runs(&self, tx: TxIndex) -> u32 {
        self.runs.get(tx.position()).map_or(0, |runs| runs.load(SeqCst))
    }
}

#[derive(Debug)]
pub(super) struct ToyBase<'a> {
    block: &'a ToyBlock,
    until_failure: Option<&'a AtomicU64>,
    /// The list, and the transaction below which it tells the state.
    pub(super) listed: Option<(&'a ToyClaims, TxIndex)>,
}

impl Base<ToyLocation> for ToyBase<'_> {
    type Error = BaseFailed;

    fn read(&mut self, location: &ToyLocation) -> Result<Option<u64>, BaseFailed> {
        if let Some(value) = self.listed.and_then(|(claims, tx)| claims.below(tx, location)) {
            return Ok(value);
        }
        let fails_now = |left: &AtomicU64| {
            let next = |left: u64| Some(left.saturating_sub(1));
            left.fetch_update(SeqCst, SeqCst, next) == Ok(1)
        };
        if self.block.failing.contains(location) || self.until_failure.is_some_and(fails_now) {
            return Err(BaseFailed(*location));
        }
        Ok(self.block.base.get(location).copied())
    }
}

/// Runs toy transactions for one worker.
#[derive(Debug)]
pub struct ToyMachine<'a, X> {
    workload: &'a ToyWorkload,
    view: View<'a, ToyLocation, ToyBase<'a>, &'a X>,
    /// It panics where nothing guards it.
    is_lost: bool,
}

/// One simultaneous run, until dropped.
struct Running<'a>(&'a ToyWorkload);

impl<'a> Running<'a> {
    fn new(workload: &'a ToyWorkload, tx: TxIndex, is_second: bool) -> Self {
        let running = workload.running.fetch_add(1, SeqCst) + 1;
        workload.peak.fetch_max(running, SeqCst);
        // Each worker may run a transaction beside another one, once.
        if let Some(runs) = workload.runs.get(tx.position()).filter(|_| !is_second) {
            runs.fetch_add(1, SeqCst);
        }
        Self(workload)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl<'a, X: Context> ToyMachine<'a, X> {
    pub(super) const fn new(
        workload: &'a ToyWorkload,
        view: View<'a, ToyLocation, ToyBase<'a>, &'a X>,
        is_lost: bool,
    ) -> Self {
        Self { workload, view, is_lost }
    }
}

impl<X: Context> Machine for ToyMachine<'_, X> {
    type Location = ToyLocation;
    type Output = ToyOutput;
    type Rejection = ToyRejection;
    type BaseError = BaseFailed;

    fn begin(&mut self, tx: TxIndex) {
        if self.is_lost {
            std::panic::resume_unwind(Box::new("lost worker"));
        }
        self.view.begin(tx);
    }

    fn begin_second(&mut self, tx: TxIndex) {
        self.view.begin_second(tx);
    }

    fn run(&mut self, tx: TxIndex) -> Result<Effects<ToyLocation, ToyOutput>, ToyRejection> {
        run_over(self.workload, &mut self.view, tx)
    }

    fn end(&mut self) -> (ReadSet<ToyLocation>, Option<Stop<BaseFailed>>) {
        self.view.end()
    }
}

/// Runs `tx` over `view`.
pub(super) fn run_over<'a, X: Context>(
    workload: &'a ToyWorkload,
    view: &mut View<'a, ToyLocation, ToyBase<'a>, &'a X>,
    tx: TxIndex,
) -> Result<Effects<ToyLocation, ToyOutput>, ToyRejection> {
    let _running = Running::new(workload, tx, view.is_second());
    let Some(program) = workload.block.transactions.get(tx.position()) else {
        return Err(ToyRejection::Unwilling(u64::MAX));
    };
    let rendezvous = workload.rendezvous.as_ref();
    let own = BTreeMap::new();
    let mut state = Overlay { view, own, stopped: false, rendezvous };
    match run_program(&program.steps, &mut state) {
        Ok(output) => {
            let writes = state.own.into_iter().collect();
            Ok(Effects { writes, output, cost: program.steps.len() as u64 })
        }
        Err(Halted::Rejected(reason)) => Err(reason),
        // The latch of the view says why; this reason is never looked at.
        Err(Halted::Stopped) => Err(ToyRejection::Unwilling(0)),
    }
}

/// The state below a transaction under the transaction's own changes.
struct Overlay<'m, 'a, X> {
    view: &'m mut View<'a, ToyLocation, ToyBase<'a>, &'a X>,
    own: BTreeMap<ToyLocation, Entry<ToyLocation>>,
    /// A read was refused: from now on all are, those of own changes too.
    stopped: bool,
    rendezvous: Option<&'a Rendezvous>,
}

impl<X: Context> Overlay<'_, '_, X> {
    fn look(&mut self, location: ToyLocation) -> Result<Option<u64>, Stopped> {
        let destroyed = |scope| self.own.get(&scope) == Some(&Entry::Tombstone);
        match self.own.get(&location) {
            Some(Entry::Value(value)) => Ok(*value),
            Some(Entry::Tombstone) => Ok(None),
            Some(Entry::Delta(delta)) => {
                let mut value = self.view.read(&location)?;
                ToyLocation::fold(&mut value, delta);
                Ok(value)
            }
            None if location.scope().is_some_and(destroyed) => Ok(None),
            None => self.view.read(&location),
        }
    }
}

impl<X: Context> ToyState for Overlay<'_, '_, X> {
    fn read(&mut self, location: ToyLocation) -> Result<Option<u64>, Stopped> {
        if self.stopped {
            return Err(Stopped);
        }
        let value = self.look(location);
        self.stopped = value.is_err();
        value
    }

    fn write(&mut self, location: ToyLocation, value: u64) {
        self.own.insert(location, Entry::Value(Some(value)));
    }

    fn credit(&mut self, account: u8, amount: u64) {
        let entry = self.own.entry(ToyLocation::Balance(account)).or_insert(Entry::Delta(0));
        match entry {
            Entry::Delta(delta) => *delta = delta.wrapping_add(amount),
            Entry::Value(value) => ToyLocation::fold(value, &amount),
            Entry::Tombstone => *entry = Entry::Value(Some(amount)),
        }
    }

    fn destroy(&mut self, account: u8) {
        for slot in 0..SLOTS {
            self.own.remove(&ToyLocation::Slot(account, slot));
        }
        self.own.insert(ToyLocation::Life(account), Entry::Tombstone);
        self.own.insert(ToyLocation::Balance(account), Entry::Tombstone);
    }

    fn meet(&mut self) {
        if let Some(rendezvous) = self.rendezvous {
            rendezvous.meet();
        }
    }
}
