//! Teeth of the replay: for each kind of event, traces where one such event is dropped, doubled
//! or says something else are rejected, all of them.

#[path = "support/harmless.rs"]
mod harmless;

use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::{Change, Entry, Floor, Found, Origin, StoreEvent};
use braid_evm::protocol::{Command, Event, RunResult, Verdict};
use braid_evm::runtime::simulated::Random;
use braid_evm::runtime::simulated::{Options, Simulator};
use braid_evm::worker::EngineEvent::{
    BatchBegan, BatchEnded, Commanded, RanSecond, Received, RunBegan, RunEnded, Sent,
};
use braid_evm::worker::RunEnd;
use braid_evm::worker::TraceEvent::{self, Engine, Store};
use braid_models::conformance::{Seen, Trace, replay};
use braid_toy::{ToyCase, ToyLocation};
use harmless::{is_in_vain, matters, names_all};
use std::collections::{BTreeMap, BTreeSet};

type One = TraceEvent<ToyLocation>;

/// Corrupted traces for each line of the tables.
const SAMPLES: u32 = 40;

/// Which kind of event it is; `corrupted_batches` looks at those of batches.
fn kind(event: &One) -> &'static str {
    match event {
        Store(StoreEvent::Base { .. }) => "base",
        Store(StoreEvent::Life { .. }) => "life",
        Store(StoreEvent::Look { .. }) => "look",
        Store(StoreEvent::Predicted { .. }) => "predicted",
        Store(StoreEvent::Changed { change: Change::Put(_), .. }) => "publish",
        Store(StoreEvent::Changed { change: Change::Remove, .. }) => "withdraw",
        Store(StoreEvent::Changed { change: Change::Estimate, .. }) => "estimate",
        Store(StoreEvent::Frontier(_)) => "frontier",
        Store(StoreEvent::CheckBegan { .. }) => "check began",
        Store(StoreEvent::CheckEnded { .. }) => "check ended",
        Engine(RunBegan(_)) => "run began",
        Engine(RunEnded { .. }) => "run ended",
        Engine(RanSecond { .. }) => "ran second",
        Engine(BatchBegan(_) | BatchEnded { .. }) => "of a batch",
        Engine(Sent(_)) => "sent",
        Engine(Received(event)) => match event {
            Event::Reported(_) => "reported",
            Event::Checked { .. } => "checked",
            Event::Admitted { .. } => "admitted",
            Event::Claimed { .. } | Event::Helped { .. } => "claimed",
            Event::Withdrawn { .. } => "withdrawn",
            Event::Compared { .. } => "of a batch",
            Event::Cancelled | Event::Broken | Event::Unprofitable | Event::Stalled => "cancelled",
        },
        Engine(Commanded(command)) => match command {
            Command::Dispatch(_) => "dispatch",
            Command::RunHere(_) => "run here",
            Command::Claim(_) | Command::Help(_) => "claim",
            Command::Recheck(_) => "recheck",
            Command::Abort(_) => "discard",
            Command::Admit(_) => "admit",
            Command::Validate(_) => "validate",
            Command::Commit(_) => "commit",
            Command::Skip(_) => "skip",
            Command::StopWork => "stop work",
            Command::Finish => "finish",
            _ => "of a batch",
        },
    }
}

/// Kinds that cannot be missing. A base value may be handed in twice, a discard may have no
/// entries, and what is asked for beside the frontier may go unasked.
const NOT_DROPPED: [&str; 3] = ["base", "discard", "cancelled"];
/// Kinds that may be there twice: they say the same again.
const MAY_REPEAT: [&str; 5] = ["base", "life", "frontier", "cancelled", "discard"];

fn bump(value: &mut Option<u64>) {
    *value = Some(value.map_or(0, |value| value.wrapping_add(1)));
}

fn newer(version: &mut Version) {
    version.incarnation = Incarnation(version.incarnation.0.wrapping_add(1));
}

fn bump_entry(entry: &mut Entry<ToyLocation>) {
    match entry {
        Entry::Value(value) => bump(value),
        Entry::Delta(delta) => *delta = delta.wrapping_add(1),
        Entry::Tombstone => *entry = Entry::Value(None),
    }
}

/// Names of alterations, each with what it does to an event that it fits.
type Alteration = (&'static str, fn(&mut One) -> bool);

const IN_STORE: [Alteration; 14] = [
    ("life: floor", |event| {
        let Store(StoreEvent::Life { floor, .. }) = event else { return false };
        *floor = match floor {
            Floor::Base => Floor::Estimate(TxIndex(0)),
            Floor::Tombstone(_) | Floor::Estimate(_) => Floor::Base,
        };
        true
    }),
    ("look: value", |event| {
        let Store(StoreEvent::Look { found: Found::Seen(_, value), .. }) = event else {
            return false;
        };
        bump(value);
        true
    }),
    ("look: version", |event| {
        let Store(StoreEvent::Look { found: Found::Seen(origin, _), .. }) = event else {
            return false;
        };
        match origin {
            Origin::Base => *origin = Origin::Value(Version::default()),
            Origin::Value(version) | Origin::Tombstone(version) | Origin::Folded(version) => {
                newer(version);
            }
        }
        true
    }),
    ("look: stamp", |event| {
        let Store(StoreEvent::Look { at, .. }) = event else { return false };
        at.stamp += 1;
        true
    }),
    ("look: blocked", |event| {
        let Store(StoreEvent::Look { found, .. }) = event else { return false };
        let blocked = matches!(found, Found::Blocked(_));
        *found = if blocked { Found::UnknownBase } else { Found::Blocked(TxIndex(0)) };
        true
    }),
    ("predicted: whom", |event| {
        let Store(StoreEvent::Predicted { on, .. }) = event else { return false };
        *on = on.next();
        true
    }),
    ("publish: entry", |event| {
        let Store(StoreEvent::Changed { change: Change::Put(entry), .. }) = event else {
            return false;
        };
        bump_entry(entry);
        true
    }),
    ("changed: version", |event| {
        let Store(StoreEvent::Changed { version, change, .. }) = event else { return false };
        newer(version);
        // A skip withdraws whatever there is.
        *change != Change::Remove
    }),
    ("changed: stamp", |event| {
        let Store(StoreEvent::Changed { at, .. }) = event else { return false };
        at.stamp -= 1;
        true
    }),
    ("changed: took", |event| {
        let Store(StoreEvent::Changed { took, .. }) = event else { return false };
        *took = !*took;
        true
    }),
    ("changed: hint", |event| {
        let Store(StoreEvent::Changed { stale, .. }) = event else { return false };
        stale.pop().is_some_and(|last| !stale.contains(&last))
    }),
    ("frontier: which", |event| {
        let Store(StoreEvent::Frontier(frontier)) = event else { return false };
        *frontier = frontier.next();
        true
    }),
    ("check ended: verdict", |event| {
        let Store(StoreEvent::CheckEnded { holds, .. }) = event else { return false };
        *holds = !*holds;
        true
    }),
    ("check ended: whose", |event| {
        let Store(StoreEvent::CheckEnded { reader, .. }) = event else { return false };
        *reader = reader.next();
        true
    }),
];

const IN_ENGINE: [Alteration; 12] = [
    ("run ended: reads", |event| {
        let Engine(RunEnded { end: RunEnd::Effects { reads, .. }, .. }) = event else {
            return false;
        };
        reads.pop().is_some()
    }),
    ("run ended: writes", |event| {
        let Engine(RunEnded { end: RunEnd::Effects { writes, .. }, .. }) = event else {
            return false;
        };
        writes.pop().is_some()
    }),
    ("run ended: how", |event| {
        let Engine(RunEnded { end, .. }) = event else { return false };
        *end = match end {
            RunEnd::Blocked(_) => RunEnd::Failed,
            RunEnd::Effects { .. } | RunEnd::TooEarly | RunEnd::Overtaken | RunEnd::Failed => {
                RunEnd::Blocked(TxIndex(0))
            }
        };
        true
    }),
    ("sent: runs", |event| {
        let Engine(Sent(report)) = event else { return false };
        report.results.first_mut().is_some_and(|result| {
            result.runs += 1;
            true
        })
    }),
    ("sent: result", |event| {
        let Engine(Sent(report)) = event else { return false };
        report.results.first_mut().is_some_and(|result| {
            result.result = match result.result {
                RunResult::Blocked { .. } => RunResult::Executed { stale_readers: Vec::new() },
                _ => RunResult::Blocked { on: TxIndex(0) },
            };
            true
        })
    }),
    ("reported: void", |event| {
        let Engine(Received(Event::Reported(report))) = event else { return false };
        report.void = !report.void;
        true
    }),
    ("checked: verdict", |event| {
        let Engine(Received(Event::Checked { verdict, .. })) = event else { return false };
        let was_valid = *verdict == Verdict::Valid;
        *verdict = if was_valid { Verdict::Stale } else { Verdict::Valid };
        true
    }),
    ("admitted: fits", |event| {
        let Engine(Received(Event::Admitted { fits, .. })) = event else { return false };
        *fits = !*fits;
        true
    }),
    ("claimed: by whom", |event| {
        let Engine(Received(Event::Claimed { claimed, .. })) = event else { return false };
        *claimed = !*claimed;
        true
    }),
    ("dispatch: which", |event| {
        let Engine(Commanded(Command::Dispatch(job))) = event else { return false };
        job.incarnation = job.incarnation.next();
        true
    }),
    ("commit: which", |event| {
        let Engine(Commanded(Command::Commit(tx))) = event else { return false };
        *tx = tx.next();
        true
    }),
    ("discard: which", |event| {
        let Engine(Commanded(Command::Abort(tx))) = event else { return false };
        *tx = TxIndex(0);
        true
    }),
];

/// Traces of blocks in which much happens.
struct Traces {
    simulator: Simulator,
    seed: u64,
}

impl Traces {
    fn next(&mut self) -> (ToyCase, Trace<ToyLocation>) {
        self.seed += 1;
        let mut random = Random::new(self.seed);
        let case = ToyCase::random(&mut random);
        let mut options = Options::new(3, random.next_u64());
        options.cancel_at = random.chance(1, 6).then(|| random.below(800));
        let ended = self.simulator.run(case.shared().with_trace(), &options);
        (case, ended.expect("the block ends").end.take_trace())
    }
}

/// Whether all transactions of the block have become final.
fn is_whole(case: &ToyCase, trace: &Trace<ToyLocation>) -> bool {
    let end = TxIndex(u32::try_from(case.block.transactions.len()).expect("few"));
    trace.iter().any(|(_, event)| *event == Store(StoreEvent::Frontier(end)))
}

fn is_rejected(case: &ToyCase, trace: &Trace<ToyLocation>) -> bool {
    let mut seen = Seen::default();
    replay(trace, case.limits, &case.plan, &mut seen).is_err()
}

/// Drops or doubles one event of each kind in each of many traces.
#[test]
fn traces_with_missing_or_repeated_events_are_rejected() {
    let mut traces = Traces { simulator: Simulator::new(), seed: 0 };
    let mut samples: BTreeMap<(&str, bool), u32> = BTreeMap::new();
    let mut kinds = BTreeSet::new();
    for round in 0..1_500 {
        let (case, trace) = traces.next();
        let here: BTreeSet<&str> = trace.iter().map(|(_, event)| kind(event)).collect();
        kinds.extend(here.iter().copied());
        for name in here {
            for doubled in [false, true] {
                let harmless: &[&str] = if doubled { &MAY_REPEAT } else { &NOT_DROPPED };
                let count = samples.entry((name, doubled)).or_default();
                // Behind the last transaction there is no work to stop.
                let is_over = name == "stop work" && is_whole(&case, &trace);
                if harmless.contains(&name) || is_over || *count >= SAMPLES {
                    continue;
                }
                let fits = |at: &usize| kind(&trace[*at].1) == name && matters(&trace, *at);
                let of_kind: Vec<usize> = (0..trace.len()).filter(fits).collect();
                let Some(&at) = of_kind.get(round % of_kind.len().max(1)) else { continue };
                let mut corrupted = trace.clone();
                if doubled {
                    corrupted.insert(at, trace[at].clone());
                } else {
                    corrupted.remove(at);
                }
                let rejected = is_rejected(&case, &corrupted);
                assert!(rejected, "seed {}, {name} {at}, doubled: {doubled}", traces.seed);
                *count += 1;
            }
        }
    }
    println!("{samples:?}");
    assert_eq!(kinds.len(), 31, "{kinds:?}");
    let rare = samples.iter().find(|((name, doubled), count)| {
        let harmless: &[&str] = if *doubled { &MAY_REPEAT } else { &NOT_DROPPED };
        !harmless.contains(name) && **count < SAMPLES
    });
    assert_eq!(rare, None, "too few samples");
}

#[test]
fn traces_with_altered_events_are_rejected() {
    let mut traces = Traces { simulator: Simulator::new(), seed: 10_000 };
    for (name, alter) in IN_STORE.iter().chain(&IN_ENGINE) {
        let mut samples = 0;
        for round in 0..3_000 {
            let (case, trace) = traces.next();
            let fits: Vec<usize> =
                (0..trace.len()).filter(|at| alter(&mut trace[*at].1.clone())).collect();
            let harmless =
                |at| is_in_vain(&trace, at) || *name == "changed: hint" && names_all(&trace, at);
            let fits: Vec<usize> = fits.into_iter().filter(|at| !harmless(*at)).collect();
            let Some(&at) = fits.get(round % fits.len().max(1)) else { continue };
            let mut corrupted = trace;
            alter(&mut corrupted[at].1);
            assert!(is_rejected(&case, &corrupted), "seed {}, {name} at {at}", traces.seed);
            samples += 1;
            if samples == SAMPLES {
                break;
            }
        }
        assert_eq!(samples, SAMPLES, "too few samples of {name}");
    }
}

/// A base value that was read is another one.
#[test]
fn traces_with_altered_base_values_are_rejected() {
    let mut traces = Traces { simulator: Simulator::new(), seed: 20_000 };
    let mut samples = 0;
    while samples < SAMPLES {
        let (case, mut trace) = traces.next();
        let read = trace.windows(2).position(|pair| {
            let base = matches!(pair[0].1, Store(StoreEvent::Base { .. }));
            let Store(StoreEvent::Look { found, .. }) = &pair[1].1 else { return false };
            base && matches!(found, Found::Seen(Origin::Base, _))
        });
        let Some(at) = read else { continue };
        if let Store(StoreEvent::Base { value, .. }) = &mut trace[at].1 {
            bump(value);
        }
        assert!(is_rejected(&case, &trace), "seed {}", traces.seed);
        samples += 1;
    }
}
