//! The model of a block: its actions and transitions.

use crate::properties::properties;
use crate::scenario::{Scenario, SequentialResult};
use crate::state::{State, Worker};
use braid_evm::mutants::{Bug, Seeded, active, seed};
use braid_evm::protocol::Event;
use stateright::{Model, Property};

/// An action that may happen in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An idle worker takes the first job from the channel.
    Take,
    /// An idle worker runs the job outside the channel.
    RunHere,
    /// This worker takes the next step in its transaction.
    Step(usize),
    /// The transaction of the first worker waits, instead of reading, for the given lower
    /// transaction, which is running.
    Predict(usize, usize),
    /// This worker ends its chunk early, between two transactions.
    EndEarly(usize),
    /// The owner receives this report.
    Deliver(usize),
    /// The caller cancels the block, and the owner receives the event.
    Cancel,
    /// An idle worker reports that the frontier's job makes no progress.
    Stall,
    /// The owner falls back to sequential execution because speculation costs more than it saves.
    Unprofitable,
}

/// All orders of events of a set of small blocks.
#[derive(Clone, Debug)]
pub struct BlockModel {
    scenarios: Vec<Scenario>,
    serials: Vec<SequentialResult>,
    workers: usize,
    bug: Option<Bug>,
}

impl BlockModel {
    /// Creates the model of these blocks on this number of workers, with the seeded bug of this
    /// thread.
    #[must_use]
    pub fn new(scenarios: Vec<Scenario>, workers: usize) -> Self {
        let serials = scenarios.iter().map(Scenario::run_sequentially).collect();
        Self { scenarios, serials, workers, bug: active() }
    }

    /// Seeds the model's bug on this thread, because a checker has its own threads.
    pub(crate) fn seeded(&self) -> Seeded {
        seed(self.bug)
    }

    /// Returns the block that `state` belongs to.
    #[must_use]
    pub fn scenario(&self, state: &State) -> &Scenario {
        &self.scenarios[state.scenario]
    }

    /// Returns the sequential result of the block that `state` belongs to.
    #[must_use]
    pub fn sequential_result(&self, state: &State) -> &SequentialResult {
        &self.serials[state.scenario]
    }

    /// Returns whether only hints are possible.
    #[must_use]
    pub fn is_terminal(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        actions.iter().all(|action| matches!(action, Action::Stall | Action::Unprofitable))
    }
}

impl Model for BlockModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let _bug = self.seeded();
        let begin = |(index, scenario): (usize, &Scenario)| {
            let block = (index, scenario, &self.serials[index]);
            let mut state = State::new(block, self.workers);
            state.apply_event(None, scenario);
            state
        };
        self.scenarios.iter().enumerate().map(begin).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let _bug = self.seeded();
        if state.broken.is_some() || state.violation.is_some() {
            return;
        }
        let idle = state.workers.contains(&Worker::Idle);
        if idle && state.owner_job.is_some() {
            actions.push(Action::RunHere);
        }
        if idle && !state.channel.is_empty() {
            actions.push(Action::Take);
        }
        for (index, worker) in state.workers.iter().enumerate() {
            if *worker == Worker::Idle || state.workers[..index].contains(worker) {
                continue;
            }
            actions.push(Action::Step(index));
            if self.scenario(state).predicts {
                let predicted = state.predicted(index, self.scenario(state));
                actions.extend(predicted.map(|on| Action::Predict(index, on)));
            }
            if state.may_end_early(index) {
                actions.push(Action::EndEarly(index));
            }
        }
        actions.extend((0..state.reports.len()).map(Action::Deliver));
        if self.scenario(state).stalls && idle && state.owner_job.is_none() && !state.finished {
            actions.push(Action::Stall);
        }
        if self.scenario(state).may_be_unprofitable
            && state.protocol.halt().is_none()
            && !state.finished
        {
            actions.push(Action::Unprofitable);
        }
        if self.scenario(state).may_cancel && !state.cancelled && !state.finished {
            actions.push(Action::Cancel);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let _bug = self.seeded();
        let mut state = last.clone();
        let scenario = self.scenario(last);
        let idle = state.workers.iter().position(|worker| *worker == Worker::Idle);
        match action {
            Action::Take => {
                let job = state.channel.pop_front()?;
                state.begin(idle?, job, false);
            }
            Action::RunHere => {
                let job = state.owner_job.take()?;
                state.begin(idle?, job, true);
            }
            Action::Step(worker) => state.step(worker, scenario),
            Action::Predict(worker, on) => state.predict(worker, on),
            Action::EndEarly(worker) => state.end_early(worker),
            Action::Deliver(index) => {
                let report = state.reports.remove(index);
                state.deliver(report, scenario);
            }
            Action::Stall => state.apply_event(Some(Event::Stalled), scenario),
            Action::Unprofitable => state.apply_event(Some(Event::Unprofitable), scenario),
            Action::Cancel => {
                state.cancelled = true;
                state.apply_event(Some(Event::Cancelled), scenario);
            }
        }
        state.sort();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties()
    }
}
