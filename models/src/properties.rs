//! Properties that must hold in every state, and events that must occur in some state.

use crate::model::BlockModel;
use crate::scenario::Kind;
use crate::state::{State, Worker};
use crate::{LOCATIONS, MOST_TRANSACTIONS};
use braid_evm::ids::TxIndex;
use braid_evm::protocol::{Halt, Job, RunResult, Status};
use stateright::Property;

pub(crate) fn properties() -> Vec<Property<BlockModel>> {
    let mut properties = speculative_properties();
    properties.extend(batch_properties());
    properties.extend(round_properties());
    properties.extend(helping_properties());
    properties
}

/// Returns the events that must occur if a worker may be preempted.
fn helping_properties() -> Vec<Property<BlockModel>> {
    vec![
        Property::sometimes("a job that was taken over", |_, s: &State| {
            s.protocol.counters().helped_transactions > 0
        }),
        Property::sometimes("a late report after the end", |_, s: &State| {
            s.finished && s.reports.iter().any(|report| s.protocol.is_superseded(report.job))
        }),
    ]
}

/// Returns the properties of private batches, and the events that must occur with them.
fn batch_properties() -> Vec<Property<BlockModel>> {
    vec![
        Property::always("a private batch commits only as the rule allows", |_, s: &State| {
            !s.batches.is_forbidden
        }),
        Property::always("no committed write is missing from the index", index_is_complete),
        Property::sometimes("a private commit above another batch", |_, s: &State| {
            s.batches.has_commit_above_others()
        }),
        Property::sometimes("a conflict of a batch", |_, s: &State| s.batches.has_conflict()),
        Property::sometimes("two batches at a time", |_, s: &State| {
            let is_private = |worker: &&Worker| match worker {
                Worker::Busy { report, .. } => report.job.batch().is_some(),
                Worker::Idle => false,
            };
            s.workers.iter().filter(is_private).count() == 2
        }),
        Property::sometimes("a group of several", |model: &BlockModel, s: &State| {
            let grouped = model.scenario(s).grouped;
            let ran = s.batches.ran.iter().flatten();
            grouped && ran.flat_map(|ran| &ran.groups).any(|group| group.txs.len() > 1)
        }),
        Property::sometimes(
            "a private commit above another batch that it has read of",
            |model: &BlockModel, s: &State| {
                model.scenario(s).list.is_some()
                    && s.batches.has_commit_above_others()
                    && s.outcomes.iter().flatten().any(|seen| *seen != 0)
            },
        ),
        Property::sometimes("a list that lies", |model: &BlockModel, s: &State| {
            let scenario = model.scenario(s);
            scenario.list.is_some() && s.finished && s.outcomes.len() < scenario.txs.len()
        }),
        Property::sometimes("a batch that was taken back", |_, s: &State| {
            s.reports.iter().any(|report| report.void && report.job.batch().is_some())
        }),
    ]
}

/// Returns the events that must occur between two segments of a block.
fn round_properties() -> Vec<Property<BlockModel>> {
    vec![Property::sometimes(
        "the rest of a batch is handed over",
        |model: &BlockModel, s: &State| {
            let limits = model.scenario(s).limits;
            let fell_back = s.protocol.halt() == Some(Halt::Fallback);
            s.finished && fell_back && limits.fallback.is_none()
        },
    )]
}

/// Returns whether the owner's index has every write that private batches have committed.
fn index_is_complete(model: &BlockModel, state: &State) -> bool {
    model.scenario(state).batches.is_empty() || state.batches.has_all()
}

fn speculative_properties() -> Vec<Property<BlockModel>> {
    vec![
        Property::always(
            "I1: the committed prefix equals sequential execution",
            prefix_is_sequential,
        ),
        Property::always(
            "I1: the state at the frontier equals sequential execution",
            state_is_sequential,
        ),
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
        Property::always("I12: the block ends as sequential execution does", ends_as_sequential),
        Property::always("I9: work is bounded", |model: &BlockModel, s: &State| {
            let scenario = model.scenario(s);
            // A job may be taken over after it ran the transaction twice.
            let helped_transactions = if scenario.stalls { 2 } else { 0 };
            let most = scenario.limits.max_speculative_runs + 1 + helped_transactions;
            s.runs.iter().all(|runs| *runs <= most)
        }),
        Property::always("jobs in flight fit the channel", |model: &BlockModel, s: &State| {
            s.speculative_jobs() <= model.scenario(s).limits.job_capacity as usize
        }),
        Property::always("I8: the frontier is not queued", frontier_is_not_queued),
        Property::always("I8: a worker works for the frontier", frontier_is_worked_for),
        Property::always("no run waits for what is published", waits_are_justified),
        Property::always("an aborted incarnation leaves no value", aborts_leave_estimates),
        Property::sometimes("a conflict", |_, s: &State| s.had_conflict),
        Property::sometimes("an estimate", |_, s: &State| s.store.has_estimate()),
        Property::sometimes("a discard", |_, s: &State| s.protocol.counters().aborts > 0),
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

fn prefix_is_sequential(model: &BlockModel, state: &State) -> bool {
    model.sequential_result(state).outcomes.starts_with(&state.outcomes)
}

fn state_is_sequential(model: &BlockModel, state: &State) -> bool {
    let Some(expected) = model.sequential_result(state).states.get(state.outcomes.len()) else {
        return false;
    };
    (0..LOCATIONS).all(|location| {
        let Ok(seen) = state.store.resolve(location, state.outcomes.len()) else { return false };
        // Writes of private batches are not published before the next segment.
        let unpublished = state.batches.unpublished.iter().filter(|(_, at, _)| *at == location);
        let last = unpublished.max_by_key(|(tx, ..)| *tx);
        let last = last.filter(|(tx, ..)| seen.version.is_none_or(|(there, _)| there < *tx));
        last.map_or(seen.value, |(.., value)| *value) == expected[location]
    })
}

fn ends_as_sequential(model: &BlockModel, state: &State) -> bool {
    let sequential = model.sequential_result(state);
    match state.protocol.halt() {
        Some(Halt::Cancelled) => state.cancelled,
        Some(Halt::Fallback) => {
            let scenario = model.scenario(state);
            scenario.limits.fallback.is_some() || !scenario.batches.is_empty()
        }
        None => {
            !state.finished
                || (sequential.halt.is_none() && state.outcomes.len() == sequential.outcomes.len())
        }
        halt => halt == sequential.halt && state.outcomes.len() == sequential.outcomes.len(),
    }
}

/// Returns whether the channel has no unclaimed job of the frontier.
fn frontier_is_not_queued(_: &BlockModel, state: &State) -> bool {
    let frontier = state.outcomes.len();
    state.protocol.halt().is_some()
        || state.channel.iter().all(|job| {
            let claimed = || state.claims[frontier] > 2 * job.incarnation.0;
            job.chunk.first.position() != frontier
                || state.batches.is_claimed(job).unwrap_or_else(claimed)
        })
}

/// Returns whether a worker runs the frontier's job, is about to run it, or has reported it.
fn frontier_is_worked_for(model: &BlockModel, state: &State) -> bool {
    let frontier = TxIndex(state.outcomes.len() as u32);
    let covers = |job: &Job| model.scenario(state).covers(job, frontier);
    let busy = state.workers.iter().any(|worker| match worker {
        Worker::Busy { report, .. } => covers(&report.job),
        Worker::Idle => false,
    });
    let over = state.finished || state.protocol.halt().is_some();
    over || state.broken.is_some()
        || state.violation.is_some()
        || frontier.0 == state.protocol.len()
        || busy
        || state.owner_job.as_ref().is_some_and(covers)
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

fn aborts_leave_estimates(_: &BlockModel, state: &State) -> bool {
    let waiting = |tx: usize| {
        let status = state.protocol.status(TxIndex(tx as u32));
        matches!(status, Some(Status::Pending | Status::Parked | Status::Blocked { .. }))
    };
    state.protocol.halt().is_some()
        || state.broken.is_some()
        || (0..MOST_TRANSACTIONS).all(|tx| !waiting(tx) || !state.store.has_value(tx))
}
