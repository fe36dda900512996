//! Sequential execution on the calling thread.
//!
//! Everything below a running transaction is final, so nothing is published, validated or waited
//! for, and neither the protocol nor workers are needed.

use super::block::committed::{Committed, OnCommit};
use super::block::error::{Failure, cancelled, failure};
use super::block_execution::{BlockExecution, SegmentEnd};
use super::engine::batches::SegmentSetting;
use super::engine::in_order::InOrder;
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
use crate::worker::{Ledger, MustWait, TxError};
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
    let mut caller = on_commit.map(|on_commit| {
        let (sender, commits) = bounded(1);
        execution.ledger.stream_to(Some(sender));
        Caller { commits, on_commit, ended: None }
    });
    let segment = SegmentSetting { streams: caller.is_some(), ..SegmentSetting::default() };
    let workload = execution.workload.for_segment(segment);
    let is_unheard = mutant!(TokenUnheard);
    let is_cancelled = || workload.is_cancelled() && !is_unheard;
    let end = TxIndex(u32::try_from(end).unwrap_or(u32::MAX));
    let store = Arc::clone(&execution.store);
    let has_bundle_thread = execution.ledger.feed.is_some();
    let make = || workload.in_order(&store, has_bundle_thread);
    let mut machine = None;
    let mut why = None;
    while why.is_none() && execution.frontier < end {
        let first = execution.frontier;
        let txs = Chunk { first, end: TxIndex(first.0.saturating_add(stride)).min(end) };
        why = if is_cancelled() {
            Some(Why::Cancelled)
        } else {
            match open(&mut machine, make) {
                Ok(machine) => run_range(execution, machine, txs, config, is_cancelled),
                Err(error) => without_state(execution, error, config),
            }
        };
        if let Some(caller) = &mut caller {
            caller.hear();
            if caller.ended.is_some() {
                why = Some(Why::Cancelled);
            }
        }
    }
    execution.ledger.stream_to(None);
    let panicked = caller.and_then(|caller| caller.ended?.err());
    if panicked.is_some() || matches!(why, Some(Why::Error(_))) {
        // Ends the worker that builds the bundle, even if a panic is resumed here.
        execution.ledger.feed = None;
    }
    if let Some(payload) = panicked {
        payload.resume();
    }
    let failure = why.and_then(|why| why.failure(execution.frontier, all));
    let long = core::mem::take(&mut execution.ledger.long);
    SegmentEnd { failure, seen: Seen { long, ..Seen::default() }, ..SegmentEnd::default() }
}

/// Why a sequential segment ends early.
enum Why<S: StateSource> {
    Cancelled,
    /// The transaction at the frontier ends the block.
    Error(TxError<Rejection, DbError<S>>),
    /// It has neither a result nor an error.
    Missing,
}

impl<S: StateSource> Why<S> {
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

/// The caller, who hears of each commit.
struct Caller<'c> {
    commits: Receiver<Committed>,
    on_commit: OnCommit<'c>,
    /// Set once the caller has ended the block, or has panicked.
    ended: Option<Result<(), Payload>>,
}

impl Caller<'_> {
    fn hear(&mut self) {
        while self.ended.is_none()
            && let Ok(committed) = self.commits.try_recv()
        {
            self.ended = match caught(|| (self.on_commit)(committed)) {
                Ok(ControlFlow::Continue(())) => None,
                Ok(ControlFlow::Break(())) => Some(Ok(())),
                Err(payload) => Some(Err(payload)),
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
    machine: &mut InOrder<'_, S::State>,
    txs: Chunk,
    config: &Config,
    is_cancelled: impl Fn() -> bool,
) -> Option<Why<S>> {
    let skips_rejected = config.engine.mode == Mode::Build;
    let BlockExecution { ledger, carry, counters, .. } = execution;
    let mut part = machine.begin(txs, carry.take(), ledger.gas());
    let ended = {
        let _span = span!(TRACE, "batch", first = txs.first.0, end = txs.end.0);
        let run = |tx: TxIndex| {
            if is_cancelled() {
                return Some(Why::Cancelled);
            }
            let _span = span!(TRACE, "run", tx = tx.0);
            match caught(|| machine.run(tx, &mut part, skips_rejected)) {
                Ok(Ok(())) => None,
                Ok(Err(MustWait { error: Some(error) })) => Some(Why::Error(error)),
                Ok(Err(MustWait { error: None })) => Some(Why::Missing),
                Err(payload) => Some(Why::Error(TxError::Panicked(payload))),
            }
        };
        txs.indices().find_map(run)
    };
    let (group, rest) = machine.end(part);
    *carry = Some(rest);
    counters.protocol.reports += 1;
    if let Some((txs, group)) = group {
        let _span = span!(TRACE, "commit", first = txs.first.0, end = txs.end.0);
        ledger.commit_group(txs, group);
        counters.protocol.runs += u64::from(txs.len());
        execution.advance(txs.end);
    }
    match ended {
        // Without an error, it is the block that has no room.
        Some(Why::Missing) => {
            let refused = execution.ledger.admit(execution.frontier).err();
            Some(refused.map_or(Why::Missing, |reason| Why::Error(TxError::Rejected(reason))))
        }
        Some(Why::Error(error)) => {
            execution.counters.protocol.runs += 1;
            Some(Why::Error(error))
        }
        ended => ended,
    }
}

/// Handles the transaction at the frontier if the state cannot be opened. One that does not fit into
/// the block needs no state.
fn without_state<S: StateSource>(
    execution: &mut BlockExecution<S>,
    error: TxError<Rejection, DbError<S>>,
    config: &Config,
) -> Option<Why<S>> {
    let tx = execution.frontier;
    match execution.ledger.admit(tx) {
        Ok(()) => Some(Why::Error(error)),
        Err(reason) if config.engine.mode == Mode::Build => {
            execution.ledger.skip(tx, reason);
            execution.advance(tx.next());
            None
        }
        Err(reason) => Some(Why::Error(TxError::Rejected(reason))),
    }
}
