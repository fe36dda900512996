//! Who holds the coordinator lock, and for how long.

use super::machine::{LedgerOf, Workload};
use super::message::JobMessage;
use super::shared::Shared;
use super::{Context, Point};
use crate::error::Invariant;
use crate::ids::TxIndex;
use crate::protocol::Event;

/// Takes the coordinator lock if it is free, does what there is to do, and looks again afterwards.
/// Returns the job that the caller has to run at once, if there is one.
///
/// It looks again also with that job in hand: a report that came meanwhile may hold work for
/// others, who would wait for it as long as the job takes.
///
/// `stalled`: the frontier, if its job has come no nearer to its end for a while.
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
        // The worker that holds it looks again after giving it back, and finds our report.
        let Some(mut held) = shared.coordinator.try_lock() else { return here };
        // The block is over, and its end was taken.
        let Some(coordinator) = &mut *held else { return here };
        let is_running = coordinator.jobs.is_some();
        if is_running && stalled.take() == Some(coordinator.protocol.frontier()) {
            let heard = coordinator.apply(shared, Event::Stalled);
            coordinator.note(shared, heard);
        }
        // There is one job outside the channel at a time: if this replaces one, that was taken over
        // meanwhile.
        if let Some(message) = coordinator.step(shared, context) {
            coordinator.answer_late(here.replace(message), shared);
        }
        let looks_again = coordinator.protocol.looks_again();
        drop(held);
        context.yield_at(Point::Coordinator);
        if !looks_again || !shared.has_news() {
            return here;
        }
    }
}

/// The block cannot go on: a worker is lost, or a report. The worker that holds the coordinator
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
