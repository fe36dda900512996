//! Properties of the model: what must hold in every state, and what must occur in some state.

use super::{
    AHEAD, WriterEnded,
    model::{Ending, Executing, Explored, Fault, State, Writing},
};
use crate::mutants::{Bug, with_bug};
use stateright::Property;

pub(super) const DURABLE: &str = "a block that is reported durable is in the store";
pub(super) const ORDER: &str = "blocks are stored in order";
pub(super) const PARENT: &str = "a block executes on the state after its parent";
pub(super) const NAMED: &str = "a refusal names the error and the block that failed";
pub(super) const AHEAD_AT_MOST: &str = "at most two blocks are ahead of the durable one";
pub(super) const REFUSED: &str = "a refused block is not part of the state";
pub(super) const AFTER_FAILURE: &str = "after a failure nothing is stored or reported durable";
pub(super) const DROPPED: &str = "dropping the chain writes every block, unless a write fails";
pub(super) const WAITS: &str = "no thread waits forever";

/// Seeded bugs, each with the rule whose check must notice it.
pub(super) const BUGS: [(Bug, &str); 17] = [
    (Bug::ThreeAhead, AHEAD_AT_MOST),
    (Bug::DroppedEarly, PARENT),
    (Bug::NewestMissing, PARENT),
    (Bug::LayersReversed, PARENT),
    (Bug::GoesOnAfterFailure, AFTER_FAILURE),
    (Bug::FailureUntold, WAITS),
    (Bug::RefusedStays, REFUSED),
    (Bug::EndUntold, WAITS),
    (Bug::FlushedEarly, DURABLE),
    (Bug::NewestFirst, ORDER),
    (Bug::DurableEarly, DURABLE),
    (Bug::NewestBlamed, NAMED),
    (Bug::ClosedEarly, DROPPED),
    (Bug::BlockUnheard, WAITS),
    (Bug::RoomUnheard, WAITS),
    (Bug::EndUnheard, WAITS),
    (Bug::CloseUnheard, WAITS),
];

/// Returns the rules. For the model without a seeded bug, also returns situations that must occur,
/// so that no rule holds only because its situation is never reached.
pub(super) fn properties(bug: Option<Bug>) -> Vec<Property<Explored>> {
    let mut properties = rules();
    if bug.is_none() {
        properties.extend(in_one_run());
        properties.extend(in_several_runs());
    }
    properties
}

fn rules() -> Vec<Property<Explored>> {
    vec![
        Property::always(DURABLE, |_, state: &State| {
            state.told <= state.store && state.broken != Some(DURABLE)
        }),
        Property::always(ORDER, |_, state: &State| state.broken != Some(ORDER)),
        Property::always(PARENT, |_, state: &State| state.broken != Some(PARENT)),
        Property::always(NAMED, |_, state: &State| state.broken != Some(NAMED)),
        Property::always(AHEAD_AT_MOST, |model: &Explored, state: &State| {
            with_bug(model.0, || state.pipe.layers().count() <= AHEAD)
        }),
        Property::always(REFUSED, |model: &Explored, state: &State| {
            with_bug(model.0, || state.pipe.layers().all(|layer| *layer <= state.head))
        }),
        Property::always(AFTER_FAILURE, |_, state: &State| {
            state.fault.is_none_or(|(block, _)| {
                // The failed write itself may have reached the store.
                state.store <= block && state.pipe.durable() < block
            })
        }),
        Property::always(DROPPED, |_, state: &State| {
            !state.is_over() || state.fault.is_some() || state.store == state.head
        }),
        // Every step except a second `flush` leads to a new state, so no path is infinite.
        Property::always(WAITS, |_, state: &State| state.is_over() || state.has_step()),
    ]
}

/// Situations that must occur between one opening of the store and the next.
fn in_one_run() -> Vec<Property<Explored>> {
    vec![
        Property::sometimes("two blocks are ahead", |_, state: &State| {
            state.pipe.layers().count() == AHEAD
        }),
        Property::sometimes("a block waits for room", |_, state: &State| {
            state.executor_sleeps && state.executing == Executing::HasBlock
        }),
        // The executing thread was woken, and the block is about to be refused.
        Property::sometimes("a write fails while a block waits for room", |_, state: &State| {
            matches!(state.fault, Some((_, Fault::Error)))
                && state.writing == Writing::Idle
                && state.executing == Executing::HasBlock
                && state.pipe.layers().count() == AHEAD
        }),
        Property::sometimes("flush waits", |_, state: &State| {
            state.executor_sleeps && state.executing == Executing::Flushes
        }),
        Property::sometimes("the writer waits", |_, state: &State| state.writer_sleeps),
        Property::sometimes("layers overlap with the store", |_, state: &State| {
            matches!(&state.executing, Executing::HasLayers(layers)
                if layers.last().is_some_and(|oldest| *oldest <= state.store))
        }),
        Property::sometimes("a failed write is reported", |_, state: &State| {
            state.executing == Executing::Ended(Ending::Refused)
                && matches!(state.pipe.check(), Err(WriterEnded::Failed(..)))
        }),
        Property::sometimes("a panic is reported", |_, state: &State| {
            state.executing == Executing::Ended(Ending::Refused)
                && state.pipe.check() == Err(WriterEnded::Gone)
        }),
        Property::sometimes("the chain is dropped with two blocks ahead", |_, state: &State| {
            state.executing == Executing::Dropped(Ending::Left)
                && state.pipe.layers().count() == AHEAD
        }),
        Property::sometimes("the remaining blocks are written", |_, state: &State| {
            state.is_over()
                && state.executing == Executing::Dropped(Ending::Left)
                && state.fault.is_none()
        }),
    ]
}

/// Situations that must occur after the store was reopened.
fn in_several_runs() -> Vec<Property<Explored>> {
    fn is_whole(state: &State) -> bool {
        state.executing == Executing::Dropped(Ending::Flushed) && state.is_over()
    }
    vec![
        Property::sometimes("all blocks are durable after a kill", |_, state: &State| {
            is_whole(state) && state.kills > 0
        }),
        Property::sometimes(
            "a kill comes between a write and its acknowledgement",
            |_, state: &State| is_whole(state) && state.killed_stored,
        ),
        Property::sometimes(
            "all blocks are durable after a failure and a kill",
            |_, state: &State| is_whole(state) && state.faults > 0,
        ),
        Property::sometimes("all blocks are durable after a rejected one", |_, state: &State| {
            is_whole(state) && state.rejected > 0
        }),
    ]
}
