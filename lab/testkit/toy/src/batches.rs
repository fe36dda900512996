//! Private batches of toy transactions.

use super::claims::{ToyClaim, ToyClaims};
use super::ledger::{ToyEntries, ToyGroup, ToyLedger, ToyOutcome};
use super::location::ToyLocation;
use super::machine::{BaseFailed, ToyBase, ToyWorkload, run_over};
use super::program::ToyRejection;
use braid_evm::ids::{Chunk, Incarnation, TxIndex, Version};
use braid_evm::mv::{AccessLog, Entry, Latest, Location, Mark};
use braid_evm::worker::{
    BatchMachine, BatchStart, Context, Effects, MustWait, RanBatch, Sequential, Stop, TxError, View,
};

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
    in_order: Option<InOrder>,
}

/// A run of a sequential segment.
#[derive(Debug)]
struct InOrder {
    /// What the next run goes on from, but for the newest state.
    carry: ToyCarry,
    /// The room that is left.
    room: u64,
    skips_rejected: bool,
}

/// What a run of a segment in order has left for the next one.
#[derive(Debug)]
pub struct ToyCarry {
    /// The state below the transaction at which it ended, from `first` on.
    latest: Latest<ToyLocation>,
    first: TxIndex,
    /// What each of them has left.
    left: Vec<(TxIndex, ToyEntries)>,
}

impl ToyCarry {
    fn from(first: TxIndex) -> Self {
        Self { latest: Latest::default(), first, left: Vec::new() }
    }

    /// What those from `first` on have left which were committed by group.
    pub(super) fn of(ledger: &ToyLedger, first: TxIndex) -> Self {
        let mut carry = Self::from(first);
        for (tx, entries) in ledger.left_from(first) {
            for (location, entry) in entries {
                carry.latest.put(*tx, *location, entry.clone());
            }
            carry.left.push((*tx, entries.clone()));
        }
        carry
    }

    /// All that they have left.
    pub(super) fn into_entries(
        self,
    ) -> impl Iterator<Item = (Version, ToyLocation, Entry<ToyLocation>)> {
        self.left.into_iter().flat_map(|(tx, entries)| {
            let version = Version { tx, incarnation: Incarnation(0) };
            entries.into_iter().map(move |(location, entry)| (version, location, entry))
        })
    }
}

impl<'a, X: Context> ToyBatches<'a, X> {
    pub(super) fn new(
        workload: &'a ToyWorkload,
        view: View<'a, ToyLocation, ToyBase<'a>, &'a X>,
        is_lost: bool,
    ) -> Self {
        let (groups, open, end) = (Vec::new(), Vec::new(), TxIndex(0));
        let (before, tells, in_order) = Default::default();
        Self { workload, view, is_lost, groups, open, end, before, tells, in_order }
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

    /// Leaves `tx` out: it is a member of its group without entries.
    fn skip(
        &mut self,
        tx: TxIndex,
        reason: ToyRejection,
    ) -> Result<(), MustWait<ToyRejection, BaseFailed>> {
        self.open.push((ToyOutcome::Skipped(reason), Vec::new()));
        self.end = tx.next();
        Ok(())
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
    type Carry = ToyCarry;
    type Room = u64;
    type Rejection = ToyRejection;
    type BaseError = BaseFailed;

    fn begin(&mut self, start: BatchStart<ToyLocation, ToyCarry, u64>) {
        if self.is_lost {
            std::panic::resume_unwind(Box::new("lost worker"));
        }
        let BatchStart { txs, snapshot, log, in_order, is_second } = start;
        self.end = txs.first;
        self.in_order = None;
        self.view.base_mut().told = None;
        let Some(Sequential { carry, room, skips_rejected }) = in_order else {
            self.tells = self.workload.claims().is_some();
            let (snapshot, log) = match self.tells {
                true => (TxIndex(0), log.map(AccessLog::of_writes)),
                false => (snapshot, log),
            };
            return self.view.begin_batch(txs.first, snapshot, log, is_second);
        };
        self.tells = false;
        let mut carry = carry.unwrap_or_else(|| ToyCarry::from(txs.first));
        let latest = core::mem::take(&mut carry.latest);
        self.view.begin_in_order(latest, carry.first, log);
        self.in_order = Some(InOrder { carry, room, skips_rejected });
    }

    fn run(&mut self, tx: TxIndex) -> Result<(), MustWait<ToyRejection, BaseFailed>> {
        if self.end != tx || tx.0.is_multiple_of(2) {
            self.close_group();
        }
        let limit = self.workload.limit(tx);
        let (room, skips) =
            self.in_order.as_ref().map_or((u64::MAX, false), |it| (it.room, it.skips_rejected));
        if limit > room {
            let reason = ToyRejection::NoRoom { left: room };
            return if skips { self.skip(tx, reason) } else { Err(MustWait::UNKNOWN) };
        }
        self.before = self.view.log_mut().map(|log| log.mark());
        let claims = self.workload.claims().filter(|_| self.tells);
        if claims.is_some() && self.workload.first_wrong().is_some_and(|wrong| wrong < tx) {
            // What it would read may be wrong.
            return Err(MustWait::UNKNOWN);
        }
        self.view.base_mut().told = claims.map(|claims| (claims, tx));
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
            return Err(MustWait::UNKNOWN);
        }
        let error = match (ran, stop) {
            (Ok(Effects { writes, output, .. }), None) => {
                self.before = None;
                self.view.keep(tx, &writes);
                if let Some(InOrder { carry, room, .. }) = &mut self.in_order {
                    *room = room.saturating_sub(limit);
                    carry.left.push((tx, writes.clone()));
                }
                self.open.push((ToyOutcome::Executed(output), writes));
                self.end = tx.next();
                return Ok(());
            }
            (_, Some(Stop::Base(error))) => Some(TxError::Base(error)),
            (_, Some(Stop::Blocked(_) | Stop::TooEarly | Stop::Overtaken)) => None,
            (Err(reason), None) => Some(TxError::Rejected(reason)),
        };
        self.forget_open_run();
        match error {
            Some(TxError::Rejected(reason)) if skips => self.skip(tx, reason),
            error => Err(MustWait { error }),
        }
    }

    fn end(&mut self) -> RanBatch<ToyLocation, ToyGroup, ToyCarry> {
        self.forget_open_run();
        self.close_group();
        let groups = core::mem::take(&mut self.groups);
        let log = self.view.end_batch();
        let latest = self.view.latest_mut().map(core::mem::take).unwrap_or_default();
        let carry = self.in_order.take().map(|it| ToyCarry { latest, ..it.carry });
        RanBatch { groups, log, carry }
    }
}
