//! Teeth of the replay of private batches: traces where one event that concerns them is dropped, doubled or says
//! something else are rejected.

use braid_evm::protocol::{Command, Event, RunMode};
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Options, Simulator};
use braid_evm::worker::EngineEvent::{BatchBegan, BatchEnded, Commanded, Received, Sent};
use braid_evm::worker::TraceEvent::{self, Engine};
use braid_models::conformance::{Seen, Trace, replay};
use braid_toy::{ToyCase, ToyLocation};

type One = TraceEvent<ToyLocation>;

/// Corrupted traces for each line of the tables.
const SAMPLES: u32 = 40;

/// Traces of blocks that are not cancelled, so that all that is asked for has an effect.
struct Traces {
    simulator: Simulator,
    seed: u64,
}

impl Traces {
    fn next(&mut self) -> (ToyCase, Trace<ToyLocation>) {
        self.seed += 1;
        let mut random = Random::new(self.seed);
        let case = ToyCase::random_private(&mut random);
        let options = Options::new(3, random.next_u64());
        let ended = self.simulator.run(case.shared().with_trace(), &options);
        (case, ended.expect("the block ends").end.take_trace())
    }
}

fn is_rejected(case: &ToyCase, trace: &Trace<ToyLocation>) -> bool {
    replay(trace, case.limits, &case.plan, &mut Seen::default()).is_err()
}

/// Names of events, each with a question for it.
type Kind = (&'static str, fn(&One) -> bool);

const KINDS: [Kind; 6] = [
    ("batch began", |event| matches!(event, Engine(BatchBegan(_)))),
    ("batch ended", |event| matches!(event, Engine(BatchEnded { .. }))),
    ("compare", |event| matches!(event, Engine(Commanded(Command::Compare { .. })))),
    ("compared", |event| matches!(event, Engine(Received(Event::Compared { .. })))),
    ("admit group", |event| matches!(event, Engine(Commanded(Command::AdmitGroup { .. })))),
    ("commit group", |event| matches!(event, Engine(Commanded(Command::CommitGroup { .. })))),
];

/// Names of alterations, each with what it does to an event that it fits.
type Alteration = (&'static str, fn(&mut One) -> bool);

const ALTERATIONS: [Alteration; 8] = [
    ("batch ended: member", |event| {
        let Engine(BatchEnded { groups, .. }) = event else { return false };
        groups.pop().is_some()
    }),
    ("batch ended: held", |event| {
        let Engine(BatchEnded { held, .. }) = event else { return false };
        held.take().is_some()
    }),
    ("sent: held", |event| {
        let Engine(Sent(report)) = event else { return false };
        report.batch.held.take().is_some()
    }),
    ("dispatch: whose", |event| {
        let (Engine(Commanded(Command::Dispatch(job))) | Engine(Commanded(Command::RunHere(job)))) =
            event
        else {
            return false;
        };
        let RunMode::Private { batch } = &mut job.mode else { return false };
        batch.0 += 1;
        true
    }),
    ("compared: forbids nothing", |event| {
        let Engine(Received(Event::Compared { conflict, .. })) = event else { return false };
        conflict.take().is_some()
    }),
    ("compared: forbids all", |event| {
        let Engine(Received(Event::Compared { tx, conflict })) = event else { return false };
        conflict.replace(*tx).is_none()
    }),
    ("admitted: a group", |event| {
        let Engine(Commanded(Command::AdmitGroup { group, .. })) = event else { return false };
        group.end = group.end.next();
        true
    }),
    ("commit group: which", |event| {
        let Engine(Commanded(Command::CommitGroup { group, .. })) = event else { return false };
        (group.first, group.end) = (group.first.next(), group.end.next());
        true
    }),
];

/// Whether the block has no room for what is asked for next.
fn is_refused(trace: &Trace<ToyLocation>, at: usize) -> bool {
    let admitted = trace[at..].iter().find_map(|(_, event)| match event {
        Engine(Received(Event::Admitted { fits, .. })) => Some(*fits),
        _ => None,
    });
    admitted == Some(false)
}

/// Whether work goes on after the event at `at`: what is left undone at the end of a block has no effect.
fn goes_on(trace: &Trace<ToyLocation>, at: usize) -> bool {
    let stop =
        trace.iter().position(|(_, event)| matches!(event, Engine(Commanded(Command::StopWork))));
    let frontier = |event: &One| {
        let Engine(Commanded(command)) = event else { return false };
        matches!(command, Command::Commit(_) | Command::CommitGroup { .. } | Command::Skip(_))
    };
    let rest = trace[at + 1..stop.unwrap_or(trace.len()).max(at + 1)].iter();
    rest.filter(|(_, event)| frontier(event)).count() > 0
}

/// Whether this is the beginning of a run that another worker has ended: it need not be told of.
fn is_in_vain(trace: &Trace<ToyLocation>, at: usize) -> bool {
    let Engine(BatchBegan(begun)) = &trace[at].1 else { return false };
    let is_its_end = |event: &_| matches!(event, Engine(BatchEnded { job, is_second: true, .. }) if job == begun);
    trace.iter().any(|(_, event)| is_its_end(event))
}

#[test]
fn traces_with_missing_or_repeated_events_of_batches_are_rejected() {
    for (name, is_kind) in KINDS {
        for doubled in [false, true] {
            let mut traces = Traces { simulator: Simulator::new(), seed: 0 };
            let (mut samples, mut round) = (0, 0);
            while samples < SAMPLES {
                round += 1;
                assert!(round < 2_000, "too few samples of {name}");
                let (case, trace) = traces.next();
                let fits: Vec<usize> = (0..trace.len())
                    .filter(|at| is_kind(&trace[*at].1) && goes_on(&trace, *at))
                    .filter(|at| doubled || !is_in_vain(&trace, *at))
                    .collect();
                let Some(&at) = fits.get(round % fits.len().max(1)) else { continue };
                let mut corrupted = trace;
                let event = corrupted.remove(at);
                if doubled {
                    corrupted.insert(at, event.clone());
                    corrupted.insert(at, event);
                }
                let rejected = is_rejected(&case, &corrupted);
                assert!(rejected, "seed {}, {name} {at}, doubled: {doubled}", traces.seed);
                samples += 1;
            }
        }
    }
}

#[test]
fn traces_with_altered_events_of_batches_are_rejected() {
    for (name, alter) in ALTERATIONS {
        let mut traces = Traces { simulator: Simulator::new(), seed: 10_000 };
        let (mut samples, mut round) = (0, 0);
        while samples < SAMPLES {
            round += 1;
            assert!(round < 3_000, "too few samples of {name}");
            let (case, trace) = traces.next();
            let fits = |at: &usize| alter(&mut trace[*at].1.clone()) && goes_on(&trace, *at);
            let is_refused = |at: usize| name == "compared: forbids all" && is_refused(&trace, at);
            let fits = (0..trace.len()).filter(fits).filter(|at| !is_refused(*at));
            let fits: Vec<usize> = fits.collect();
            let Some(&at) = fits.get(round % fits.len().max(1)) else { continue };
            let mut corrupted = trace;
            alter(&mut corrupted[at].1);
            assert!(is_rejected(&case, &corrupted), "seed {}, {name} at {at}", traces.seed);
            samples += 1;
        }
    }
}

/// Alters a value that a batch has read from the snapshot, and another batch before it.
fn alter_read(trace: &mut Trace<ToyLocation>) -> bool {
    let mut read = Vec::new();
    for (_, event) in trace {
        let Engine(BatchEnded { job, groups, .. }) = event else { continue };
        let RunMode::Private { .. } = job.mode else { continue };
        let reads = groups.iter_mut().flat_map(|group| &mut group.reads);
        let mut known =
            reads.filter(|(location, value)| read.contains(location) && value.is_some());
        if let Some((_, Some(value))) = known.next() {
            *value = Some(value.map_or(0, |value| value.wrapping_add(1)));
            return true;
        }
        let reads = groups.iter().flat_map(|group| &group.reads);
        read.extend(reads.filter(|(_, value)| value.is_some()).map(|(location, _)| *location));
    }
    false
}

#[test]
fn traces_with_altered_reads_of_batches_are_rejected() {
    let mut traces = Traces { simulator: Simulator::new(), seed: 20_000 };
    let mut samples = 0;
    while samples < SAMPLES {
        let (case, mut trace) = traces.next();
        if alter_read(&mut trace) {
            assert!(is_rejected(&case, &trace), "seed {}", traces.seed);
            samples += 1;
        }
    }
}
