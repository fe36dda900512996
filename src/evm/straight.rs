//! Sequential execution on the calling thread.
//!
//! Everything below a running transaction is final, so nothing is published, validated or waited
//! for, and neither the protocol nor workers are needed.

use super::block::committed::{Committed, OnCommit};
use super::block::error::{Failure, cancelled, failure};
use super::block_execution::{BlockExecution, SegmentEnd};
use super::engine::batches::SegmentSetting;
use super::engine::sequential::{NoResult, SequentialMachine};
use super::exec::base::{DbError, StateSource};
use super::exec::rejection::Rejection;
use super::plan::longest::Seen;
use crate::config::{Config, Mode};
use crate::error::Invariant;
use crate::ids::{Chunk, TxIndex};
use crate::panics::{Payload, caught};
use crate::protocol::{self, Halt};
use crate::spans::span;
use crate::sync::{Receiver, bounded};
use crate::worker::{Ledger, TxError};
use core::ops::ControlFlow;
use std::sync::Arc;

/// Runs and commits the uncommitted transactions below `end`, up to the first one that ends the
/// block. Its error is final, because everything below it is.
pub(super) fn run_straight<S: StateSource>(
    execution: &mut BlockExecution<S>,
    end: usize,
    config: &Config,
    on_commit: Option<OnCommit<'_>>,
) -> SegmentEnd<S> {
    execution.take_over_batches();
    let all = execution.workload.block_context.block.transactions.len();
    // A caller that streams commits receives each one before the next transaction runs.
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
    let make = || workload.sequential(&store, has_bundle_thread);
    let mut machine = None;
    let mut ended = None;
    while ended.is_none() && execution.frontier < end {
        let first = execution.frontier;
        let txs = Chunk { first, end: TxIndex(first.0.saturating_add(stride)).min(end) };
        ended = match open(&mut machine, make) {
            Ok(machine) => run_range(execution, machine, txs, config, is_cancelled),
            Err(_) if is_cancelled() => Some(EarlyEnd::Cancelled),
            Err(error) => without_state(execution, error, config),
        };
        if let Some(listener) = &mut listener {
            listener.hear();
            if listener.ended.is_some() {
                ended = Some(EarlyEnd::Cancelled);
            }
        }
    }
    execution.ledger.stream_to(None);
    let panicked = match listener.and_then(|listener| listener.ended) {
        Some(Ended::Panicked(payload)) => Some(payload),
        Some(Ended::Broke) | None => None,
    };
    if panicked.is_some() || matches!(ended, Some(EarlyEnd::Error(_))) {
        // Ends the worker that builds the bundle, even if a panic is resumed here.
        execution.ledger.feed = None;
    }
    if let Some(payload) = panicked {
        payload.resume();
    }
    let failure = ended.and_then(|ended| ended.failure(execution.frontier, all));
    let long = core::mem::take(&mut execution.ledger.long);
    SegmentEnd { failure, seen: Seen { long, ..Seen::default() }, ..SegmentEnd::default() }
}

/// Why a sequential segment ends early.
enum EarlyEnd<S: StateSource> {
    Cancelled,
    /// The transaction at the frontier ends the block.
    Error(TxError<Rejection, DbError<S>>),
    /// It has neither a result nor an error: a broken rule.
    Missing,
}

impl<S: StateSource> EarlyEnd<S> {
    fn failure(self, frontier: TxIndex, all: usize) -> Option<Failure<S>> {
        match self {
            Self::Cancelled => Some(cancelled(frontier, all)),
            Self::Error(error) => {
                let halt = Halt::Failed(frontier, protocol::Failure::Fatal);
                failure(frontier, Some(halt), Some(error), None)
            }
            Self::Missing => {
                failure(frontier, None, None, Some(Invariant::MissingResult { tx: frontier }))
            }
        }
    }
}

/// The caller's callback, which hears of each commit.
struct Listener<'c> {
    commits: Receiver<Committed>,
    on_commit: OnCommit<'c>,
    ended: Option<Ended>,
}

/// How the callback has ended the block.
enum Ended {
    Broke,
    Panicked(Payload),
}

impl Listener<'_> {
    fn hear(&mut self) {
        while self.ended.is_none()
            && let Ok(committed) = self.commits.try_recv()
        {
            self.ended = match caught(|| (self.on_commit)(committed)) {
                Ok(ControlFlow::Continue(())) => None,
                Ok(ControlFlow::Break(())) => Some(Ended::Broke),
                Err(payload) => Some(Ended::Panicked(payload)),
            };
        }
    }
}

/// Opens the state, unless it is open already.
fn open<M, E>(
    machine: &mut Option<M>,
    make: impl FnOnce() -> Result<M, E>,
) -> Result<&mut M, TxError<Rejection, E>> {
    let opened = match machine.take() {
        Some(machine) => machine,
        None => caught(make).map_err(TxError::Panicked)?.map_err(TxError::Base)?,
    };
    Ok(machine.insert(opened))
}

/// Runs `txs` and commits those that have a result.
fn run_range<S: StateSource>(
    execution: &mut BlockExecution<S>,
    machine: &mut SequentialMachine<'_, S::State>,
    txs: Chunk,
    config: &Config,
    is_cancelled: impl Fn() -> bool,
) -> Option<EarlyEnd<S>> {
    let skips_rejected = config.engine.mode == Mode::Build;
    let BlockExecution { ledger, carry, counters, .. } = execution;
    let mut run = machine.begin(txs, carry.take(), ledger.gas());
    let ended = {
        let _span = span!(TRACE, "batch", first = txs.first.0, end = txs.end.0);
        let one = |tx: TxIndex| {
            if is_cancelled() {
                return Err(None);
            }
            let _span = span!(TRACE, "run", tx = tx.0);
            match caught(|| machine.run(tx, &mut run, skips_rejected)) {
                Ok(ran) => ran.map_err(Some),
                Err(payload) => Err(Some(NoResult::Error(TxError::Panicked(payload)))),
            }
        };
        txs.indices().try_for_each(one)
    };
    let (group, rest) = machine.end(run);
    *carry = Some(rest);
    counters.protocol.reports += 1;
    if let Some((txs, group)) = group {
        let _span = span!(TRACE, "commit", first = txs.first.0, end = txs.end.0);
        ledger.commit_group(txs, group);
        counters.protocol.runs += u64::from(txs.len());
        execution.advance(txs.end);
    }
    Some(match ended.err()? {
        None => EarlyEnd::Cancelled,
        Some(NoResult::NoRoom) => match execution.ledger.admit(execution.frontier) {
            Err(reason) => EarlyEnd::Error(TxError::Rejected(reason)),
            Ok(()) => EarlyEnd::Missing,
        },
        Some(NoResult::Error(error)) => {
            execution.counters.protocol.runs += 1;
            EarlyEnd::Error(error)
        }
        Some(NoResult::Missing) => EarlyEnd::Missing,
    })
}

/// Handles the transaction at the frontier if the state cannot be opened. One that does not fit into
/// the block needs no state.
fn without_state<S: StateSource>(
    execution: &mut BlockExecution<S>,
    error: TxError<Rejection, DbError<S>>,
    config: &Config,
) -> Option<EarlyEnd<S>> {
    let tx = execution.frontier;
    match execution.ledger.admit(tx) {
        Ok(()) => Some(EarlyEnd::Error(error)),
        Err(reason) if config.engine.mode == Mode::Build => {
            execution.ledger.skip(tx, reason);
            execution.advance(tx.next());
            None
        }
        Err(reason) => Some(EarlyEnd::Error(TxError::Rejected(reason))),
    }
}
