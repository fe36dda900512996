//! What must hold in every state, and what must occur in some.

use crate::model::BlockModel;
use crate::scenario::Kind;
use crate::state::{State, Worker};
use crate::{LOCATIONS, MOST_TRANSACTIONS};
use braid_evm::ids::TxIndex;
use braid_evm::protocol::{Halt, Job, RunResult, Status};
use stateright::Property;

pub(crate) fn properties() -> Vec<Property<BlockModel>> {
    vec![
        Property::always("I1: the committed prefix equals serial execution", prefix_is_serial),
        Property::always("I1: the state at the frontier equals serial execution", state_is_serial),
        Property::always("no command breaks a rule (I2, I13, window)", |_, s: &State| {
            s.violation.is_none()
        }),
        Property::always("the protocol finds no rule broken", |_, s: &State| s.broken.is_none()),
        Property::always(
            "progress: what cannot go on is finished",
            |model: &BlockModel, s: &State| {
                s.finished || s.broken.is_some() || s.violation.is_some() || !model.is_terminal(s)
            },
        ),
        Property::always("I12: the block ends as serial execution does", ends_as_serial),
        Property::always("I9: work is bounded", |model: &BlockModel, s: &State| {
            let cap = model.scenario(s).limits.max_speculative_runs;
            s.runs.iter().all(|runs| *runs <= cap + 1)
        }),
        Property::always("jobs in flight fit the channel", |model: &BlockModel, s: &State| {
            s.speculative_jobs() <= model.scenario(s).limits.job_capacity as usize
        }),
        Property::always("I8: the frontier is not queued", frontier_is_not_queued),
        Property::always("I8: somebody works for the frontier", frontier_is_worked_for),
        Property::always("nobody waits for what is published", waits_are_justified),
        Property::always("a discarded incarnation leaves no value", discards_are_estimates),
        Property::sometimes("a conflict", |_, s: &State| s.had_conflict),
        Property::sometimes("an estimate", |_, s: &State| s.store.has_estimate()),
        Property::sometimes("a discard", |_, s: &State| s.protocol.counters().discarded > 0),
        Property::sometimes("a blocked run", |_, s: &State| s.protocol.counters().blocked > 0),
        Property::sometimes("a wait for one that runs", |_, s: &State| {
            let status = |tx: usize| s.protocol.status(TxIndex(tx as u32));
            let waits = |tx| matches!(status(tx), Some(Status::Blocked { .. }));
            !s.store.has_estimate() && (0..MOST_TRANSACTIONS).any(waits)
        }),
        Property::sometimes("a failed speculation", |_, s: &State| {
            s.protocol.counters().failed > 0
        }),
        Property::sometimes("a speculative commit", |_, s: &State| {
            s.protocol.counters().speculative_commits > 0
        }),
        Property::sometimes("a read of what commits add to", |model: &BlockModel, s: &State| {
            let mut txs = model.scenario(s).txs.iter().zip(&s.outcomes);
            txs.any(|(tx, outcome)| tx.kind == Kind::ReadsCredits && outcome.is_some())
        }),
        Property::sometimes("a run that came too early", |_, s: &State| {
            let early = |(result, _): &(RunResult, _)| *result == RunResult::TooEarly;
            s.reports.iter().any(|report| report.results.iter().any(early))
        }),
        Property::sometimes("a skip", |_, s: &State| s.outcomes.contains(&None)),
        Property::sometimes("a claim", |_, s: &State| s.protocol.counters().claims > 0),
        Property::sometimes("the last allowed run", |model: &BlockModel, s: &State| {
            s.runs.contains(&(model.scenario(s).limits.max_speculative_runs + 1))
        }),
        Property::sometimes("a cancelled block with work in flight", |_, s: &State| {
            s.cancelled && !s.finished && s.protocol.in_flight() > 0
        }),
        Property::sometimes("a failed block", |_, s: &State| {
            s.finished && matches!(s.protocol.halt(), Some(Halt::Failed(..)))
        }),
    ]
}

fn prefix_is_serial(model: &BlockModel, state: &State) -> bool {
    model.serial(state).outcomes.starts_with(&state.outcomes)
}

fn state_is_serial(model: &BlockModel, state: &State) -> bool {
    let Some(expected) = model.serial(state).states.get(state.outcomes.len()) else {
        return false;
    };
    (0..LOCATIONS).all(|location| {
        let seen = state.store.resolve(location, state.outcomes.len());
        seen.is_ok_and(|seen| seen.value == expected[location])
    })
}

fn ends_as_serial(model: &BlockModel, state: &State) -> bool {
    let serial = model.serial(state);
    match state.protocol.halt() {
        Some(Halt::Cancelled) => state.cancelled,
        Some(Halt::HandedOver) => model.scenario(state).limits.hands_over.is_some(),
        None => {
            !state.finished
                || (serial.halt.is_none() && state.outcomes.len() == serial.outcomes.len())
        }
        halt => halt == serial.halt && state.outcomes.len() == serial.outcomes.len(),
    }
}

/// While the owner has nothing to do, no job of the frontier lies in the channel unclaimed.
fn frontier_is_not_queued(_: &BlockModel, state: &State) -> bool {
    let frontier = state.outcomes.len();
    state.protocol.halt().is_some()
        || state.channel.iter().all(|job| {
            job.chunk.first.position() != frontier || state.claims[frontier] > job.incarnation.0
        })
}

/// While the block runs, the job of the frontier is with a worker, on its way to one who runs it
/// at once, or answered: the frontier never waits for anything else.
fn frontier_is_worked_for(_: &BlockModel, state: &State) -> bool {
    let frontier = TxIndex(state.outcomes.len() as u32);
    let covers = |job: &Job| job.chunk.first <= frontier && frontier < job.chunk.end;
    let busy = state.workers.iter().any(|worker| match worker {
        Worker::Busy { report, .. } => covers(&report.job),
        Worker::Idle => false,
    });
    let over = state.finished || state.protocol.halt().is_some();
    over || state.broken.is_some()
        || state.violation.is_some()
        || frontier.0 == state.protocol.len()
        || busy
        || state.here.as_ref().is_some_and(covers)
        || state.reports.iter().any(|report| covers(&report.job))
}

fn waits_are_justified(_: &BlockModel, state: &State) -> bool {
    let status = |tx: usize| state.protocol.status(TxIndex(tx as u32));
    state.protocol.halt().is_some()
        || (0..MOST_TRANSACTIONS).all(|tx| match status(tx) {
            Some(Status::Blocked { on }) => {
                !matches!(status(on.position()), Some(Status::Executed | Status::Final))
            }
            _ => true,
        })
}

fn discards_are_estimates(_: &BlockModel, state: &State) -> bool {
    let waiting = |tx: usize| {
        let status = state.protocol.status(TxIndex(tx as u32));
        matches!(status, Some(Status::Pending | Status::Parked | Status::Blocked { .. }))
    };
    state.protocol.halt().is_some()
        || state.broken.is_some()
        || (0..MOST_TRANSACTIONS).all(|tx| !waiting(tx) || !state.store.has_value(tx))
}
