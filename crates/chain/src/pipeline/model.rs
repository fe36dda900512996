//! Exploration of all interleavings of the executing thread, the writer and the store: blocks in
//! flight, refusals, failure and panic of the writer, sleeping and waking, drop, kill and reopen.
//!
//! A block is a number, and the store is the number of its last block. Layers over the store form a
//! state; a rule says whether it is the state after the head.

use super::{
    Named, Pipeline, WriterEnded, WriterEndedFor,
    properties::{BUGS, DURABLE, NAMED, ORDER, PARENT, properties},
};
use crate::mutants::{Bug, with_bug};
use stateright::{Checker, Model, Property};

/// Number of blocks to execute.
const BLOCKS: u8 = 6;
/// Maximum numbers of rejected blocks, of failed writes, and of kills of the process.
const REJECTS: u8 = 1;
const FAULTS: u8 = 2;
const KILLS: u8 = 2;

type Pipe = Pipeline<u8, ()>;

impl Named for u8 {
    type Name = Self;

    fn name(&self) -> Self {
        *self
    }
}

/// Reason why no further block is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ending {
    /// All blocks are durable.
    Flushed,
    /// The thread was told that no more blocks are written.
    Refused,
    /// The caller stops early.
    Left,
}

/// State of the thread that executes blocks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Executing {
    Idle,
    /// Has read the layers, and will read the store.
    HasLayers(Vec<u8>),
    /// Has executed the next block, and hands it to the writer.
    HasBlock,
    /// Waits until all blocks are durable.
    Flushes,
    Ended(Ending),
    /// Drops the chain, which waits for the writer's thread.
    Dropped(Ending),
}

/// State of the writer's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Writing {
    Idle,
    /// Has taken a block.
    Taken(u8),
    /// The store holds the block.
    Stored(u8),
    Gone,
}

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    Error,
    Panic,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) pipe: Pipe,
    /// The last block in the store.
    pub(super) store: u8,
    /// The chain's last block, which was handed to the writer.
    pub(super) head: u8,
    pub(super) executing: Executing,
    /// The thread got no answer, and has not been woken since.
    pub(super) executor_sleeps: bool,
    pub(super) writing: Writing,
    pub(super) writer_sleeps: bool,
    /// The failure since the store was opened, with its block.
    pub(super) fault: Option<(u8, Fault)>,
    /// The last block that was reported durable, including reports before a kill.
    pub(super) told: u8,
    /// Numbers of rejected or cancelled blocks, of failed writes, and of kills so far.
    pub(super) rejected: u8,
    pub(super) faults: u8,
    pub(super) kills: u8,
    /// Whether a kill came between a write and its acknowledgement.
    pub(super) killed_stored: bool,
    /// A rule that an action has violated.
    pub(super) broken: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    ReadLayers,
    Execute,
    /// The block is invalid, or its execution is cancelled.
    Reject,
    HandOver,
    Flush,
    Leave,
    Drop,
    Take,
    Store,
    Acknowledge,
    /// The store fails or panics. It may hold the block or not, depending on the writer's state.
    GoWrong(Fault),
    Kill,
}

#[derive(Debug)]
pub(super) struct Explored(pub(super) Option<Bug>);

impl State {
    const fn opened(store: u8) -> Self {
        Self {
            pipe: Pipe::new(store),
            store,
            head: store,
            executing: Executing::Idle,
            executor_sleeps: false,
            writing: Writing::Idle,
            writer_sleeps: false,
            fault: None,
            told: 0,
            rejected: 0,
            faults: 0,
            kills: 0,
            killed_stored: false,
            broken: None,
        }
    }

    /// Ends the threads and the pipeline, but not the store, and reopens the store.
    fn kill(self) -> Self {
        let opened = Self::opened(self.store);
        Self {
            told: self.told,
            rejected: self.rejected,
            faults: self.faults,
            kills: self.kills + 1,
            killed_stored: self.killed_stored || matches!(self.writing, Writing::Stored(_)),
            broken: self.broken,
            ..opened
        }
    }

    /// Calls the pipeline, and wakes threads if it says so, like `Shared` in `writer.rs`.
    fn ask<T>(&mut self, ask: impl FnOnce(&mut Pipe) -> T) -> T {
        let answer = ask(&mut self.pipe);
        if self.pipe.take_wake() {
            (self.executor_sleeps, self.writer_sleeps) = (false, false);
        }
        answer
    }

    /// Whether both threads have ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.executing, Executing::Dropped(_)) && self.writing == Writing::Gone
    }

    /// Whether some thread can act without an outside event.
    pub(super) fn has_step(&self) -> bool {
        let mut actions = Vec::new();
        self.steps(&mut actions);
        !actions.is_empty()
    }

    /// Whether `layers`, newest first, over the store form the state after the head.
    fn is_after_head(&self, layers: &[u8]) -> bool {
        let newest_first = layers.windows(2).all(|pair| pair[0] > pair[1]);
        let has_all = (1..=self.head).all(|block| block <= self.store || layers.contains(&block));
        let last = layers.first().copied().unwrap_or(self.store);
        newest_first && has_all && last == self.head
    }

    /// Collects the actions that the threads can take.
    fn steps(&self, actions: &mut Vec<Action>) {
        match &self.executing {
            _ if self.executor_sleeps => {}
            Executing::Idle if self.head < BLOCKS => {
                actions.extend([Action::ReadLayers, Action::Flush, Action::Leave]);
            }
            Executing::Idle => actions.extend([Action::Flush, Action::Leave]),
            Executing::HasLayers(_) => actions.push(Action::Execute),
            Executing::HasBlock => actions.push(Action::HandOver),
            Executing::Flushes => actions.push(Action::Flush),
            Executing::Ended(_) => actions.push(Action::Drop),
            Executing::Dropped(_) => {}
        }
        match self.writing {
            Writing::Idle if !self.writer_sleeps => actions.push(Action::Take),
            Writing::Taken(_) => actions.push(Action::Store),
            Writing::Stored(_) => actions.push(Action::Acknowledge),
            Writing::Idle | Writing::Gone => {}
        }
    }

    fn breaks(&mut self, rule: &'static str, is_broken: bool) {
        if is_broken {
            self.broken.get_or_insert(rule);
        }
    }

    fn refuse(&mut self, end: &WriterEndedFor<u8, ()>) {
        let expected = self.fault.map(|(block, fault)| match fault {
            Fault::Error => WriterEnded::Failed(block, ()),
            Fault::Panic => WriterEnded::Gone,
        });
        self.breaks(NAMED, expected.as_ref() != Some(end));
        self.executing = Executing::Ended(Ending::Refused);
    }

    fn hand_over(&mut self) {
        let block = self.head + 1;
        match self.ask(|pipe| pipe.offer(&block)) {
            Some(Ok(())) => {
                self.head = block;
                self.executing = Executing::Idle;
            }
            Some(Err(end)) => self.refuse(&end),
            None => self.executor_sleeps = true,
        }
    }

    fn flush(&mut self) {
        match self.ask(|pipe| pipe.flushed()) {
            Some(Ok(durable)) => {
                self.breaks(DURABLE, durable != self.head || self.store < self.head);
                let is_last = self.head == BLOCKS;
                let ended = Executing::Ended(Ending::Flushed);
                self.executing = if is_last { ended } else { Executing::Idle };
            }
            Some(Err(end)) => self.refuse(&end),
            None => {
                self.executing = Executing::Flushes;
                self.executor_sleeps = true;
            }
        }
    }

    fn take(&mut self) {
        match self.ask(Pipe::take) {
            Some(Some(block)) => self.writing = Writing::Taken(block),
            Some(None) => {
                // The drop guard of the writer's thread reports this.
                self.ask(Pipe::gone);
                self.writing = Writing::Gone;
            }
            None => self.writer_sleeps = true,
        }
    }

    fn go_wrong(&mut self, fault: Fault, block: u8) {
        self.faults += 1;
        self.fault.get_or_insert((block, fault));
        match fault {
            Fault::Error => {
                self.ask(|pipe| pipe.failed(()));
                self.writing = Writing::Idle;
            }
            Fault::Panic => {
                self.ask(Pipe::gone);
                self.writing = Writing::Gone;
            }
        }
    }
}

impl Model for Explored {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::opened(0)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.steps(actions);
        if matches!(state.executing, Executing::HasLayers(_)) && state.rejected < REJECTS {
            actions.push(Action::Reject);
        }
        let writes = matches!(state.writing, Writing::Taken(_) | Writing::Stored(_));
        if writes && state.faults < FAULTS {
            actions.extend([Action::GoWrong(Fault::Error), Action::GoWrong(Fault::Panic)]);
        }
        if state.kills < KILLS {
            actions.push(Action::Kill);
        }
    }

    // A checker has threads of its own.
    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        with_bug(self.0, || before.after(action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties(self.0)
    }
}

impl State {
    fn after(&self, action: Action) -> Option<Self> {
        let before = self;
        let mut state = before.clone();
        match (action, before.writing) {
            (Action::ReadLayers, _) => match state.pipe.check() {
                Ok(()) => {
                    state.executing = Executing::HasLayers(state.pipe.layers().copied().collect());
                }
                Err(end) => state.refuse(&end),
            },
            (Action::Execute, _) => {
                let Executing::HasLayers(layers) = &before.executing else { return None };
                state.breaks(PARENT, !before.is_after_head(layers));
                state.executing = Executing::HasBlock;
            }
            (Action::Reject, _) => {
                state.executing = Executing::Idle;
                state.rejected += 1;
            }
            (Action::HandOver, _) => state.hand_over(),
            (Action::Flush, _) => state.flush(),
            (Action::Leave, _) => state.executing = Executing::Ended(Ending::Left),
            (Action::Drop, _) => {
                let Executing::Ended(ending) = before.executing else { return None };
                state.ask(Pipe::close);
                state.executing = Executing::Dropped(ending);
            }
            (Action::Take, _) => state.take(),
            (Action::Store, Writing::Taken(block)) => {
                state.breaks(ORDER, block != state.store + 1);
                state.store = block;
                state.writing = Writing::Stored(block);
            }
            (Action::Acknowledge, Writing::Stored(_)) => {
                state.ask(Pipe::written);
                state.writing = Writing::Idle;
            }
            (Action::GoWrong(fault), Writing::Taken(block) | Writing::Stored(block)) => {
                state.go_wrong(fault, block);
            }
            (Action::Kill, _) => state = state.kill(),
            (Action::Store | Action::Acknowledge | Action::GoWrong(_), _) => return None,
        }
        state.told = state.told.max(state.pipe.durable());
        Some(state)
    }
}

/// Lower bound of the number of states: with fewer, the model has lost some.
const LEAST_STATES: usize = 10_000;

#[test]
fn every_interleaving_keeps_the_rules() {
    let checker = Explored(None).checker().spawn_bfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    println!("{states} states");
    assert!(states > LEAST_STATES, "{states} states");
}

#[test]
fn seeded_bugs_are_noticed() {
    for (bug, property) in BUGS {
        let checker = Explored(Some(bug)).checker().spawn_bfs().join();
        assert!(checker.discovery(property).is_some(), "{bug:?}: {:?}", checker.discoveries());
    }
}
