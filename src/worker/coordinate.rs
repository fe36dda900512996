//! Acquiring and releasing the coordinator lock.

use super::machine::{LedgerOf, Workload};
use super::message::JobMessage;
use super::shared::Shared;
use super::{Context, Point};
use crate::error::Invariant;
use crate::ids::TxIndex;
use crate::protocol::Event;

/// Takes the coordinator lock if it is free, handles all reports, and checks for more after
/// releasing the lock. Returns a job that the caller must run at once, if there is one.
///
/// The check also happens before such a job runs: a report that arrived in the meantime may make
/// jobs ready for other workers, which would otherwise wait until this job ends.
///
/// `stalled` is the frontier, if its job has made no progress for a while.
pub(super) fn coordinate<W, G, X>(
    shared: &Shared<W, G>,
    context: &X,
    mut stalled: Option<TxIndex>,
) -> Option<JobMessage<W>>
where
    W: Workload,
    G: LedgerOf<W>,
    X: Context,
{
    let mut owner_job = None;
    loop {
        context.yield_at(Point::Coordinator);
        // The holder checks for reports after releasing the lock, so it finds ours.
        let Some(mut guard) = shared.coordinator.try_lock() else { return owner_job };
        // The block is over, and its result was taken.
        let Some(coordinator) = &mut *guard else { return owner_job };
        let is_running = coordinator.jobs.is_some();
        if is_running && stalled.take() == Some(coordinator.protocol.frontier()) {
            let applied = coordinator.apply(shared, Event::Stalled);
            coordinator.record_broken(shared, applied);
        }
        // Only one job at a time is outside the channel: a helper has taken over the job that is
        // replaced here.
        if let Some(message) = coordinator.step(shared, context) {
            coordinator.answer_superseded(owner_job.replace(message), shared);
        }
        let checks_again = coordinator.protocol.checks_again();
        drop(guard);
        context.yield_at(Point::Coordinator);
        if !checks_again || !shared.needs_coordinator() {
            return owner_job;
        }
    }
}

/// Ends the block because a worker or a report was lost. No worker waits for the coordinator lock:
/// the worker that holds it, or takes it next, ends the block.
pub(super) fn fail_block<W, G>(shared: &Shared<W, G>, broken: Invariant)
where
    W: Workload,
    G: LedgerOf<W>,
{
    shared.post_fault(broken);
    while shared.needs_coordinator() {
        let Some(mut guard) = shared.coordinator.try_lock() else { return };
        let Some(coordinator) = &mut *guard else { return };
        coordinator.take_fault(shared);
    }
}
