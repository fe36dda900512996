//! All interleavings of the thread that executes, the writer and the store: blocks in flight,
//! refusals, the writer's failure and panic, kill and reopen.
//!
//! A block is a number. It writes a place of its own and one that all blocks write, so that a
//! state tells which blocks it has, and in which order they lie over one another.

use super::{AHEAD, End, Pipeline, mutants::Mutant};
use stateright::{Checker, Model, Property};

/// Blocks that are executed.
const BLOCKS: u8 = 6;

type Pipe = Pipeline<u8, u8, ()>;

/// What the thread that executes blocks does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Executing {
    /// Begins the next block, or waits for all to be durable.
    Idle,
    /// Has asked for the layers, and will ask for the store.
    HasLayers(Vec<u8>),
    /// Has executed the next block, and hands it over.
    HasBlock,
    /// All blocks are durable.
    Done,
    /// Was told that no block is written any more.
    Refused,
}

/// What the writer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Writing {
    Idle,
    /// Has taken a block.
    Taken(u8),
    /// The store holds it.
    Stored(u8),
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    pipe: Pipe,
    /// The last block in the store.
    store: u8,
    /// The chain's last block: that was handed over.
    head: u8,
    executing: Executing,
    writing: Writing,
    /// The highest block that was told to be durable, also before a kill.
    told: u8,
    /// Blocks that were rejected or cancelled, failed writes, panics and kills so far.
    rejected: u8,
    faults: u8,
    kills: u8,
    /// A kill came between a write and its acknowledgement.
    killed_stored: bool,
    /// A rule that an action has broken.
    broken: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    ReadLayers,
    Execute,
    /// The block is invalid, or its execution is cancelled.
    Reject,
    HandOver,
    Flush,
    Take,
    Store,
    Acknowledge,
    /// The store fails: the block may be in it or not, as the writer stands.
    Fail,
    /// The writer panics, or has failed before.
    Panic,
    Kill,
}

const ORDER: &str = "blocks are stored in order";
const PARENT: &str = "a block executes on the state after its parent";
const DURABLE: &str = "what is told to be durable is in the store";

struct Explored(Mutant);

impl State {
    fn opened(mutant: Mutant, store: u8, before: Option<&Self>) -> Self {
        let mut pipe = Pipe::new(store);
        pipe.mutant = mutant;
        Self {
            pipe,
            store,
            head: store,
            executing: Executing::Idle,
            writing: Writing::Idle,
            told: before.map_or(0, |before| before.told),
            rejected: before.map_or(0, |before| before.rejected),
            faults: before.map_or(0, |before| before.faults),
            kills: before.map_or(0, |before| before.kills + 1),
            killed_stored: before
                .is_some_and(|it| it.killed_stored || matches!(it.writing, Writing::Stored(_))),
            broken: before.and_then(|before| before.broken),
        }
    }

    /// Whether `layers`, newest first, over the store are the state after the head.
    fn is_after_head(&self, layers: &[u8]) -> bool {
        let newest_first = layers.windows(2).all(|pair| pair[0] > pair[1]);
        let has_all = (1..=self.head).all(|block| block <= self.store || layers.contains(&block));
        let last = layers.first().copied().unwrap_or(self.store);
        newest_first && has_all && last == self.head
    }

    fn ended(&self) -> bool {
        matches!(self.executing, Executing::Done | Executing::Refused)
    }

    /// What the threads can do: all but what goes wrong from outside.
    fn steps(&self, actions: &mut Vec<Action>) {
        let mut pipe = self.pipe.clone();
        match &self.executing {
            Executing::Idle if self.head < BLOCKS => actions.push(Action::ReadLayers),
            Executing::Idle if pipe.flushed().is_some() => actions.push(Action::Flush),
            Executing::HasLayers(_) => actions.push(Action::Execute),
            Executing::HasBlock if pipe.offer(&(self.head + 1)).is_some() => {
                actions.push(Action::HandOver);
            }
            _ => {}
        }
        match self.writing {
            Writing::Idle if pipe.take().is_some() => actions.push(Action::Take),
            Writing::Taken(_) => actions.push(Action::Store),
            Writing::Stored(_) => actions.push(Action::Acknowledge),
            _ => {}
        }
    }

    fn refuse(&mut self) {
        self.executing = Executing::Refused;
    }
}

impl Model for Explored {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::opened(self.0, 0, None)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.steps(actions);
        if matches!(state.executing, Executing::HasLayers(_)) && state.rejected == 0 {
            actions.push(Action::Reject);
        }
        if matches!(state.writing, Writing::Taken(_) | Writing::Stored(_)) && state.faults == 0 {
            actions.extend([Action::Fail, Action::Panic]);
        }
        if state.kills == 0 {
            actions.push(Action::Kill);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::ReadLayers => match state.pipe.check() {
                Ok(()) => {
                    state.executing = Executing::HasLayers(state.pipe.layers().copied().collect());
                }
                Err(_) => state.refuse(),
            },
            Action::Execute => {
                let Executing::HasLayers(layers) = &before.executing else { return None };
                if !before.is_after_head(layers) {
                    state.broken.get_or_insert(PARENT);
                }
                state.executing = Executing::HasBlock;
            }
            Action::Reject => {
                state.executing = Executing::Idle;
                state.rejected += 1;
            }
            Action::HandOver => match state.pipe.offer(&(state.head + 1))? {
                Ok(()) => {
                    state.head += 1;
                    state.executing = Executing::Idle;
                }
                Err(_) => state.refuse(),
            },
            Action::Flush => match state.pipe.flushed()? {
                Ok(durable) => {
                    if durable != state.head || state.store < state.head {
                        state.broken.get_or_insert(DURABLE);
                    }
                    state.executing = Executing::Done;
                    state.pipe.close();
                }
                Err(_) => state.refuse(),
            },
            Action::Take => match state.pipe.take()? {
                Some(block) => state.writing = Writing::Taken(block),
                None => {
                    state.pipe.gone();
                    state.writing = Writing::Gone;
                }
            },
            Action::Store => {
                let Writing::Taken(block) = state.writing else { return None };
                if block != state.store + 1 {
                    state.broken.get_or_insert(ORDER);
                }
                state.store = block;
                state.writing = Writing::Stored(block);
            }
            Action::Acknowledge => {
                let Writing::Stored(block) = state.writing else { return None };
                state.pipe.written(block);
                state.writing = Writing::Idle;
            }
            Action::Fail => {
                state.faults += 1;
                state.pipe.failed(());
                state.writing = Writing::Idle;
            }
            Action::Panic => {
                state.faults += 1;
                state.pipe.gone();
                state.writing = Writing::Gone;
            }
            Action::Kill => state = State::opened(self.0, before.store, Some(before)),
        }
        state.told = state.told.max(state.pipe.durable());
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(DURABLE, |_, state: &State| {
                state.told <= state.store && state.broken != Some(DURABLE)
            }),
            Property::always(ORDER, |_, state: &State| state.broken != Some(ORDER)),
            Property::always(PARENT, |_, state: &State| state.broken != Some(PARENT)),
            Property::always(
                "two blocks are ahead of the durable one, at most",
                |_, state: &State| state.pipe.layers().count() <= AHEAD,
            ),
            Property::always(
                "a block that was refused is no part of the state",
                |_, state: &State| state.pipe.layers().all(|layer| *layer <= state.head),
            ),
            Property::always("no thread waits for ever", |_, state: &State| {
                let mut actions = Vec::new();
                state.steps(&mut actions);
                !actions.is_empty() || state.ended()
            }),
        ];
        if self.0 == Mutant::None {
            properties.extend(occurs());
        }
        properties
    }
}

/// What must occur, so that the rules are no empty ones.
fn occurs() -> [Property<Explored>; 7] {
    [
        Property::sometimes("two blocks are ahead", |_, state: &State| {
            state.pipe.layers().count() == AHEAD
        }),
        Property::sometimes("a block waits for room", |_, state: &State| {
            state.executing == Executing::HasBlock
                && state.pipe.clone().offer(&(state.head + 1)).is_none()
        }),
        Property::sometimes("all blocks are durable after a kill", |_, state: &State| {
            state.executing == Executing::Done && state.kills > 0
        }),
        Property::sometimes("a block is stored and a kill comes first", |_, state: &State| {
            state.killed_stored && state.executing == Executing::Done
        }),
        Property::sometimes("a failed write is told", |_, state: &State| {
            state.executing == Executing::Refused
                && matches!(state.pipe.check(), Err(End::Failed(())))
        }),
        Property::sometimes("a panic is told", |_, state: &State| {
            state.executing == Executing::Refused && state.pipe.check() == Err(End::Gone)
        }),
        Property::sometimes("all are durable after a rejected block", |_, state: &State| {
            state.executing == Executing::Done && state.rejected > 0
        }),
    ]
}

#[test]
fn every_interleaving_keeps_the_rules() {
    let checker = Explored(Mutant::None).checker().spawn_bfs().join();
    checker.assert_properties();
    println!("{} states", checker.unique_state_count());
    assert!(checker.unique_state_count() > 1_000);
}

#[test]
fn seeded_bugs_are_noticed() {
    for (mutant, property) in Mutant::ALL {
        let checker = Explored(mutant).checker().spawn_bfs().join();
        assert!(checker.discovery(property).is_some(), "{mutant:?}: {:?}", checker.discoveries());
    }
}
