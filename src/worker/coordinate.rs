//! Acquiring and releasing the coordinator lock.

use super::machine::{LedgerOf, Workload};
use super::message::JobMessage;
use super::shared::Shared;
use super::{Context, Point};
use crate::error::Invariant;
use crate::ids::TxIndex;
use crate::protocol::Event;

/// Takes the coordinator lock if it is free, does all pending work, and checks for more after
/// releasing the lock. Returns a job that the caller has to run at once, if there is one.
///
/// The check also happens with such a job in hand: a report that arrived in the meantime may
/// release work for other workers, which would otherwise wait as long as the job takes.
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
    let mut here = None;
    loop {
        context.yield_at(Point::Coordinator);
        // The holder checks for reports after releasing the lock, so it finds ours.
        let Some(mut held) = shared.coordinator.try_lock() else { return here };
        // The block is over, and its result was taken.
        let Some(coordinator) = &mut *held else { return here };
        let is_running = coordinator.jobs.is_some();
        if is_running && stalled.take() == Some(coordinator.protocol.frontier()) {
            let heard = coordinator.apply(shared, Event::Stalled);
            coordinator.note(shared, heard);
        }
        // Only one job at a time is outside the channel: a job that is replaced here was taken over
        // by a helper in the meantime.
        if let Some(message) = coordinator.step(shared, context) {
            coordinator.answer_late(here.replace(message), shared);
        }
        let checks_again = coordinator.protocol.checks_again();
        drop(held);
        context.yield_at(Point::Coordinator);
        if !checks_again || !shared.has_news() {
            return here;
        }
    }
}

/// Ends the block because a worker or a report was lost. The worker that holds the coordinator
/// lock, or takes it next, ends the block; as with a report, no worker waits for the lock.
pub(super) fn give_up<W, G>(shared: &Shared<W, G>, broken: Invariant)
where
    W: Workload,
    G: LedgerOf<W>,
{
    shared.post_fault(broken);
    while shared.has_news() {
        let Some(mut held) = shared.coordinator.try_lock() else { return };
        let Some(coordinator) = &mut *held else { return };
        coordinator.take_fault(shared);
    }
}
