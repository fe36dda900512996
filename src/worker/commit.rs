//! Commits of transactions and groups, and skips. Each moves the frontier.

use super::coordinator::Coordinator;
use super::machine::{LedgerOf, Workload};
use super::shared::Shared;
use super::stop::NoResult;
use super::{Activity, Context, Point};
use crate::error::Invariant;
use crate::ids::{BatchId, Chunk, Incarnation, TxIndex, Version};
use crate::mv::{Entry, ReadSet};
use crate::protocol::Event;
use crate::spans::span;
use crate::sync::SeqCst;

impl<W, G> Coordinator<W, G>
where
    W: Workload,
    G: LedgerOf<W>,
{
    pub(super) fn commit<X: Context>(
        &mut self,
        tx: TxIndex,
        shared: &Shared<W, G>,
        context: &X,
    ) -> Result<(), Invariant> {
        let _span = span!(TRACE, "commit", first = tx.0, end = tx.0.saturating_add(1));
        let record = self.record(tx)?;
        if cfg!(debug_assertions) && !shared.store.would_hold(&record.reads, tx) {
            return Err(Invariant::StaleCommit { tx });
        }
        record.reads = ReadSet::default();
        record.written = Vec::new();
        let version = Version { tx, incarnation: record.incarnation };
        let output = record.output.take().ok_or(Invariant::MissingResult { tx })?;
        let moves_early = mutant!(CreditAfterFrontier);
        if moves_early {
            self.move_frontier(tx, shared);
            context.yield_at(Point::Commit);
        }
        let mut early_readers = Vec::new();
        shared.workload.credits(&output, |location, delta| {
            shared.store.publish(version, &location, Entry::Delta(delta), &mut early_readers);
        });
        if let Some(reader) = early_readers.first() {
            return Err(Invariant::EarlyRead { tx: *reader });
        }
        self.ledger.commit(tx, output);
        if !moves_early {
            self.move_frontier(tx, shared);
        }
        context.report(Activity::Committed(Chunk { first: tx, end: tx.next() }));
        match self.ledger.is_unprofitable() {
            true => self.apply(shared, Event::Unprofitable),
            false => Ok(()),
        }
    }

    pub(super) fn skip<X: Context>(
        &mut self,
        tx: TxIndex,
        shared: &Shared<W, G>,
        context: &X,
    ) -> Result<(), Invariant> {
        let refusal = self.refusal.take();
        let record = self.record(tx)?;
        let written = core::mem::take(&mut record.written);
        let reason = match (refusal, record.no_result.take()) {
            (Some(reason), _) | (None, Some(NoResult::Rejected(reason))) => reason,
            _ => return Err(Invariant::MissingResult { tx }),
        };
        // Withdraws the entries of all incarnations.
        let version = Version { tx, incarnation: Incarnation(u32::MAX) };
        let moves_early = mutant!(FrontierBeforeWithdrawal);
        if moves_early {
            self.move_frontier(tx, shared);
        }
        let mut stale_readers = Vec::new();
        for location in written {
            shared.store.withdraw(version, &location, &mut stale_readers);
        }
        stale_readers.sort_unstable();
        stale_readers.dedup();
        shared.notify_readers(&stale_readers, context);
        self.ledger.skip(tx, reason);
        if !moves_early {
            self.move_frontier(tx, shared);
        }
        self.apply(shared, Event::Withdrawn { tx, stale_readers })
    }

    pub(super) fn move_frontier(&self, tx: TxIndex, shared: &Shared<W, G>) {
        shared.frontier.store(tx.next().0, SeqCst);
        shared.store.set_frontier(tx.next());
    }

    pub(super) fn commit_group<X: Context>(
        &mut self,
        id: BatchId,
        group: Chunk,
        shared: &Shared<W, G>,
        context: &X,
    ) -> Result<(), Invariant> {
        let _span = span!(TRACE, "commit", first = group.first.0, end = group.end.0);
        let results = self.batches.commit(id, group)?;
        self.ledger.commit_group(group, results);
        let Some(last) = group.indices().next_back() else { return Ok(()) };
        self.move_frontier(last, shared);
        context.report(Activity::Committed(group));
        Ok(())
    }
}
