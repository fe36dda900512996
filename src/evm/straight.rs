//! Sequential execution on the calling thread, without other workers.
//!
//! Everything below a running transaction is final, so nothing is published, validated or waited
//! for, and neither the protocol nor workers are needed. The engine takes over when a transaction
//! does not fit into the block or needs an answer that only the engine has, or when the block is
//! cancelled.

use super::block::error::{Failure, failure};
use super::block_execution::BlockExecution;
use super::engine::batches::SegmentSetting;
use super::exec::base::StateSource;
use crate::config::{Config, Mode};
use crate::ids::{Chunk, TxIndex, WorkerId};
use crate::panics::caught;
use crate::protocol::{self, Halt};
use crate::runtime::Threads;
use crate::spans::span;
use crate::worker::{
    BatchMachine, BatchStart, Ledger, MustWait, RanBatch, Sequential, TxError, Workload,
};

/// Runs and commits the uncommitted transactions below `end`, up to the first one without a
/// result. Its error, if any, is final, because everything below it is.
pub(super) fn run_straight<S: StateSource>(
    execution: &mut BlockExecution<S>,
    end: usize,
    config: &Config,
) -> Option<Failure<S>> {
    execution.take_over_batches();
    let has_feed = execution.ledger.feed.is_some();
    let stride = execution.stride();
    let segment = SegmentSetting { has_bundle_thread: has_feed, ..SegmentSetting::default() };
    let workload = execution.workload.for_segment(segment);
    let BlockExecution { store, ledger, carry, frontier, counters, .. } = execution;
    let made = caught(|| workload.batches(WorkerId(0), store, &Threads::BLOCKING));
    let Ok(Ok(mut machine)) = made else { return None };
    let is_unheard = mutant!(TokenUnheard);
    let is_cancelled = || workload.is_cancelled() && !is_unheard;
    let end = TxIndex(u32::try_from(end).unwrap_or(u32::MAX));
    let mut ran = Ok(());
    while ran.is_ok() && *frontier < end {
        let first = *frontier;
        let last = TxIndex(first.0.saturating_add(stride)).min(end);
        let txs = Chunk { first, end: last };
        let room = ledger.room();
        let skips_rejected = config.engine.mode == Mode::Build;
        machine.begin(BatchStart {
            txs,
            snapshot: first,
            log: None,
            in_order: Some(Sequential { carry: carry.take(), room, skips_rejected }),
            is_second: false,
        });
        ran = run_range(&mut machine, txs, is_cancelled);
        let RanBatch { groups, carry: pending, .. } = machine.end();
        *carry = pending;
        for (group, left) in groups {
            let _span = span!(TRACE, "commit", first = group.first.0, end = group.end.0);
            ledger.commit_group(group, left);
            *frontier = group.end;
            store.set_frontier(group.end);
            counters.protocol.runs += group.len() as u64;
        }
        counters.protocol.reports += 1;
    }
    let at = execution.frontier;
    let error = ran.err().and_then(|it| it.error);
    if error.is_some() {
        // Ends the worker that builds the bundle, even if a panic is resumed here.
        execution.ledger.feed = None;
    }
    execution.counters.protocol.runs += u64::from(error.is_some());
    let halt = Halt::Failed(at, protocol::Failure::Fatal);
    error.and_then(|error| failure(at, Some(halt), Some(error), None))
}

/// # Errors
/// [`MustWait`] at the first of `txs` that has not run; without a reason if the block is cancelled.
fn run_range<M: BatchMachine>(
    machine: &mut M,
    txs: Chunk,
    is_cancelled: impl Fn() -> bool,
) -> Result<(), MustWait<M::Rejection, M::BaseError>> {
    let _span = span!(TRACE, "batch", first = txs.first.0, end = txs.end.0);
    for tx in txs.indices() {
        if is_cancelled() {
            return Err(MustWait::UNKNOWN);
        }
        let _span = span!(TRACE, "run", tx = tx.0);
        match caught(|| machine.run(tx)) {
            Ok(ran) => ran?,
            Err(payload) => return Err(MustWait { error: Some(TxError::Panicked(payload)) }),
        }
    }
    Ok(())
}
