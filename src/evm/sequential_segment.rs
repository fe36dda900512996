//! Sequential execution on the calling thread.
//!
//! Everything below a running transaction is final, so nothing is published, validated or waited
//! for, and neither the protocol nor workers are needed.

use super::block::committed::{Committed, OnCommit};
use super::block::error::{Cause, cancelled, cause};
use super::block_execution::{BlockExecution, SegmentEnd};
use super::engine::batches::SegmentSetting;
use super::engine::sequential::SequentialRunner;
use super::exec::base::{DbError, StateSource};
use super::exec::rejection::Rejection;
use super::plan::longest::LongRuns;
use crate::config::{Config, Mode};
use crate::ids::{Chunk, TxIndex};
use crate::panics::{Payload, caught};
use crate::protocol::{self, Halt};
use crate::spans::span;
use crate::sync::{Receiver, bounded};
use crate::worker::{Ledger, NoResult};
use core::ops::ControlFlow;
use std::sync::Arc;

/// Runs and commits the uncommitted transactions below `end`, up to the first one that ends the
/// block. Its error is final, because everything below it is final.
pub(super) fn run_sequential<S: StateSource>(
    execution: &mut BlockExecution<S>,
    end: usize,
    config: &Config,
    on_commit: Option<OnCommit<'_>>,
) -> SegmentEnd<S> {
    execution.merge_batches();
    let all = execution.workload.block_context.block.transactions.len();
    // A caller that streams commits receives each commit before the next transaction runs.
    let stride = if on_commit.is_some() { 1 } else { execution.stride() };
    let mut listener = on_commit.map(|on_commit| {
        let (sender, commits) = bounded(1);
        execution.ledger.stream_to(Some(sender));
        Listener { commits, on_commit, ended: None }
    });
    let segment = SegmentSetting { streams: listener.is_some(), ..SegmentSetting::default() };
    let workload = execution.workload.for_segment(segment);
    let is_unheard = mutant!(TokenUnheard);
    let is_cancelled = || workload.is_cancelled() && !is_unheard;
    let end = TxIndex(u32::try_from(end).unwrap_or(u32::MAX));
    let store = Arc::clone(&execution.store);
    let has_bundle_thread = execution.ledger.feed.is_some();
    let open_runner = || workload.sequential(&store, has_bundle_thread);
    let mut machine = None;
    let mut ended = None;
    while ended.is_none() && execution.frontier < end {
        let first = execution.frontier;
        let txs = Chunk { first, end: TxIndex(first.0.saturating_add(stride)).min(end) };
        ended = match open(&mut machine, open_runner) {
            Ok(machine) => run_range(execution, machine, txs, config, is_cancelled),
            Err(_) if is_cancelled() => Some(EarlyEnd::Cancelled),
            Err(why) => without_state(execution, why, config),
        };
        if let Some(listener) = &mut listener {
            listener.deliver();
            if listener.ended.is_some() {
                ended = Some(EarlyEnd::Cancelled);
            }
        }
    }
    execution.ledger.stream_to(None);
    let panicked = match listener.and_then(|listener| listener.ended) {
        Some(ListenerEnd::Panicked(payload)) => Some(payload),
        Some(ListenerEnd::Stopped) | None => None,
    };
    if panicked.is_some() || matches!(ended, Some(EarlyEnd::NoRoom(_) | EarlyEnd::NoResult(_))) {
        // End the worker that builds the bundle, even if a panic is resumed here.
        execution.ledger.feed = None;
    }
    if let Some(payload) = panicked {
        payload.resume();
    }
    let failure = ended.and_then(|ended| ended.cause(execution.frontier, all));
    let long = core::mem::take(&mut execution.ledger.long);
    SegmentEnd {
        failure,
        long_runs: LongRuns { long, ..LongRuns::default() },
        ..SegmentEnd::default()
    }
}

/// Why a sequential segment ends early.
enum EarlyEnd<S: StateSource> {
    Cancelled,
    /// The block has no room for the transaction at the frontier.
    NoRoom(Rejection),
    /// The transaction at the frontier ends the block.
    NoResult(NoResult<Rejection, DbError<S>>),
}

impl<S: StateSource> EarlyEnd<S> {
    fn cause(self, frontier: TxIndex, all: usize) -> Option<Cause<S>> {
        match self {
            Self::Cancelled => Some(cancelled(frontier, all)),
            Self::NoRoom(reason) => {
                let halt = Halt::NoRoom(frontier);
                cause(frontier, Some(halt), Some(NoResult::Rejected(reason)), None)
            }
            Self::NoResult(why) => {
                // Only the protocol uses the kind of failure.
                let halt = Halt::Failed(frontier, protocol::Failure::Fatal);
                cause(frontier, Some(halt), Some(why), None)
            }
        }
    }
}

/// The caller's callback, with the commits to pass to it.
struct Listener<'c> {
    commits: Receiver<Committed>,
    on_commit: OnCommit<'c>,
    ended: Option<ListenerEnd>,
}

/// How the callback ended the block.
enum ListenerEnd {
    Stopped,
    Panicked(Payload),
}

impl Listener<'_> {
    /// Passes all new commits to the callback, unless it has ended the block.
    fn deliver(&mut self) {
        while self.ended.is_none()
            && let Ok(committed) = self.commits.try_recv()
        {
            self.ended = match caught(|| (self.on_commit)(committed)) {
                Ok(ControlFlow::Continue(())) => None,
                Ok(ControlFlow::Break(())) => Some(ListenerEnd::Stopped),
                Err(payload) => Some(ListenerEnd::Panicked(payload)),
            };
        }
    }
}

/// Opens the state, unless it is already open.
fn open<M, E>(
    machine: &mut Option<M>,
    open_runner: impl FnOnce() -> Result<M, E>,
) -> Result<&mut M, NoResult<Rejection, E>> {
    let opened = match machine.take() {
        Some(machine) => machine,
        None => caught(open_runner).map_err(NoResult::Panicked)?.map_err(NoResult::base)?,
    };
    Ok(machine.insert(opened))
}

/// Runs `txs` and commits the transactions that have a result.
fn run_range<S: StateSource>(
    execution: &mut BlockExecution<S>,
    machine: &mut SequentialRunner<'_, S::State>,
    txs: Chunk,
    config: &Config,
    is_cancelled: impl Fn() -> bool,
) -> Option<EarlyEnd<S>> {
    let skips_rejected = config.engine.mode == Mode::Build;
    let BlockExecution { ledger, pending, counters, .. } = execution;
    let mut run = machine.begin(txs, pending.take(), ledger.gas());
    let ended = {
        let _span = span!(TRACE, "batch", first = txs.first.0, end = txs.end.0);
        let run_one = |tx: TxIndex| {
            if is_cancelled() {
                return Err(EarlyEnd::Cancelled);
            }
            let reason = match run.admit(tx) {
                Err(reason) if skips_rejected => reason,
                Err(reason) => return Err(EarlyEnd::NoRoom(reason)),
                Ok(()) => {
                    let _span = span!(TRACE, "run", tx = tx.0);
                    let ran = caught(|| machine.run(tx, &mut run));
                    match ran.unwrap_or_else(|payload| Err(NoResult::Panicked(payload))) {
                        Ok(()) => return Ok(()),
                        Err(NoResult::Rejected(reason)) if skips_rejected && reason.may_skip() => {
                            reason
                        }
                        Err(why) => return Err(EarlyEnd::NoResult(why)),
                    }
                }
            };
            machine.skip(tx, reason, &mut run);
            Ok(())
        };
        txs.indices().try_for_each(run_one)
    };
    let (group, writes) = machine.end(run);
    *pending = Some(writes);
    counters.protocol.reports += 1;
    if let Some((txs, group)) = group {
        let _span = span!(TRACE, "commit", first = txs.first.0, end = txs.end.0);
        ledger.commit_group(txs, group);
        counters.protocol.runs += u64::from(txs.len());
        execution.advance(txs.end);
    }
    let ended = ended.err()?;
    execution.counters.protocol.runs += u64::from(matches!(ended, EarlyEnd::NoResult(_)));
    Some(ended)
}

/// Handles the transaction at the frontier if the state cannot be opened. A transaction that does
/// not fit into the block needs no state.
fn without_state<S: StateSource>(
    execution: &mut BlockExecution<S>,
    why: NoResult<Rejection, DbError<S>>,
    config: &Config,
) -> Option<EarlyEnd<S>> {
    let tx = execution.frontier;
    match execution.ledger.admit(tx) {
        Ok(()) => Some(EarlyEnd::NoResult(why)),
        Err(reason) if config.engine.mode == Mode::Build => {
            execution.ledger.skip(tx, reason);
            execution.advance(tx.next());
            None
        }
        Err(reason) => Some(EarlyEnd::NoRoom(reason)),
    }
}
