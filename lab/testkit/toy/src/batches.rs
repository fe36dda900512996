//! Private batches of toy transactions.

use super::claims::{ToyClaim, ToyClaims};
use super::ledger::{ToyEntries, ToyGroup, ToyOutcome};
use super::location::ToyLocation;
use super::machine::{BaseFailed, ToyBase, ToyWorkload, run_over};
use super::program::ToyRejection;
use braid_evm::ids::{Chunk, TxIndex};
use braid_evm::mv::{Entry, Location, Mark};
use braid_evm::worker::{BatchMachine, BatchStart, Context, Effects, NoResult, RanBatch, View};

/// Runs private batches of toy transactions for one worker.
#[derive(Debug)]
pub struct ToyBatches<'a, X> {
    workload: &'a ToyWorkload,
    view: View<'a, ToyLocation, ToyBase<'a>, &'a X>,
    /// It panics where nothing guards it.
    is_lost: bool,
    groups: Vec<(Chunk, ToyGroup)>,
    /// Neighbours that commit together, while there may be more of them.
    open: ToyGroup,
    /// One past the last transaction that has run.
    end: TxIndex,
    /// How much was logged before the transaction that runs.
    before: Option<Mark>,
    /// It reads what the list tells.
    tells: bool,
}

impl<'a, X: Context> ToyBatches<'a, X> {
    pub(super) fn new(
        workload: &'a ToyWorkload,
        view: View<'a, ToyLocation, ToyBase<'a>, &'a X>,
        is_lost: bool,
    ) -> Self {
        let (groups, open, end) = (Vec::new(), Vec::new(), TxIndex(0));
        let (before, tells) = Default::default();
        Self { workload, view, is_lost, groups, open, end, before, tells }
    }

    /// Two neighbours commit together, an even index and an odd one.
    fn close_group(&mut self) {
        let group = core::mem::take(&mut self.open);
        let length = u32::try_from(group.len()).unwrap_or(u32::MAX);
        if length > 0 {
            let txs = Chunk { first: TxIndex(self.end.0.saturating_sub(length)), end: self.end };
            if let Some(log) = self.view.log_mut() {
                log.end_group(txs);
            }
            self.groups.push((txs, group));
        }
    }

    /// Whether what `tx` has left is not what the list says. Credits are made values: what they are added to is known.
    fn differs(&mut self, claims: &ToyClaims, tx: TxIndex, writes: &mut ToyEntries) -> bool {
        let mut changes = ToyClaim::new();
        for (location, entry) in writes {
            let Ok(before) = self.view.read(location) else { return false };
            let mut after = before;
            match entry {
                Entry::Value(value) => after = *value,
                Entry::Delta(delta) => ToyLocation::fold(&mut after, delta),
                Entry::Tombstone => after = None,
            }
            if !matches!(entry, Entry::Tombstone) {
                *entry = Entry::Value(after);
            }
            if after != before {
                changes.insert(*location, after);
            }
        }
        claims.at(tx) != Some(&changes)
    }

    fn forget_open_run(&mut self) {
        if let (Some(before), Some(log)) = (self.before.take(), self.view.log_mut()) {
            log.forget_since(before);
        }
    }
}

impl<X: Context> BatchMachine for ToyBatches<'_, X> {
    type Location = ToyLocation;
    type Group = ToyGroup;
    type Rejection = ToyRejection;
    type BaseError = BaseFailed;

    fn begin(&mut self, start: BatchStart<ToyLocation>) {
        if self.is_lost {
            std::panic::resume_unwind(Box::new("lost worker"));
        }
        let BatchStart { txs, snapshot, log, is_second } = start;
        self.end = txs.first;
        self.view.base_mut().listed = None;
        self.tells = self.workload.claims().is_some();
        let (snapshot, log) = match self.tells {
            true => (TxIndex(0), log.of_writes()),
            false => (snapshot, log),
        };
        self.view.begin_batch(txs.first, snapshot, Some(log), is_second);
    }

    fn run(&mut self, tx: TxIndex) -> Result<(), NoResult<ToyRejection, BaseFailed>> {
        if self.end != tx || tx.0.is_multiple_of(2) {
            self.close_group();
        }
        self.before = self.view.log_mut().map(|log| log.mark());
        let claims = self.workload.claims().filter(|_| self.tells);
        if claims.is_some() && self.workload.first_wrong().is_some_and(|wrong| wrong < tx) {
            // What it would read may be wrong.
            return Err(NoResult::TOO_EARLY);
        }
        self.view.base_mut().listed = claims.map(|claims| (claims, tx));
        self.view.begin(tx);
        let mut ran = run_over(self.workload, &mut self.view, tx);
        let mut is_wrong = false;
        if let (Some(claims), Ok(Effects { writes, .. })) = (claims, &mut ran) {
            is_wrong = self.differs(claims, tx, writes) && !claims.is_trusted();
        }
        let (_, stop) = self.view.end();
        if is_wrong && stop.is_none() {
            self.workload.note_wrong(tx);
            self.forget_open_run();
            return Err(NoResult::TOO_EARLY);
        }
        let why = match (ran, stop) {
            (Ok(Effects { writes, output, .. }), None) => {
                self.before = None;
                self.view.keep(tx, &writes);
                self.open.push((ToyOutcome::Executed(output), writes));
                self.end = tx.next();
                return Ok(());
            }
            (_, Some(stop)) => stop.into(),
            (Err(reason), None) => NoResult::Rejected(reason),
        };
        self.forget_open_run();
        Err(why)
    }

    fn end(&mut self) -> RanBatch<ToyLocation, ToyGroup> {
        self.forget_open_run();
        self.close_group();
        let groups = core::mem::take(&mut self.groups);
        RanBatch { groups, log: self.view.end_batch() }
    }
}
