//! Corruptions of a trace that a replay cannot notice, as they say nothing wrong of what counts.

use braid_evm::mv::{Found, Location, StoreEvent};
use braid_evm::protocol::{Command, Event};
use braid_evm::worker::EngineEvent::{Commanded, RanSecond, Received, RunBegan, RunEnded, Sent};
use braid_evm::worker::RunEnd;
use braid_evm::worker::TraceEvent::{Engine, Store};
use braid_models::conformance::Trace;
use braid_toy::ToyLocation;

/// Whether the event at `at` must be there once. A look counts if it is a run's with a result: one that a check makes, or a
/// run without one, may be missing. The report of a job that was taken over does not count.
pub(crate) fn matters(trace: &Trace<ToyLocation>, at: usize) -> bool {
    if let Engine(Received(Event::Reported(report))) = &trace[at].1 {
        let take_over = Engine(Commanded(Command::Help(report.job)));
        return !trace[..at].iter().any(|(_, event)| *event == take_over) || !report.void;
    }
    let Store(StoreEvent::Look { reader, found, .. }) = &trace[at].1 else { return true };
    let end = trace[at..].iter().find_map(|(_, event)| match event {
        Engine(RunEnded { tx, end }) if tx == reader => Some(end),
        Store(StoreEvent::CheckEnded { reader: checked, .. }) if checked == reader => {
            Some(&RunEnd::Failed)
        }
        _ => None,
    });
    matches!((found, end), (Found::Seen(..), Some(RunEnd::Effects { .. })))
}

/// Whether a run that ends here is repeated in place, or its job was taken over: what it came to shows nowhere.
pub(crate) fn is_in_vain(trace: &Trace<ToyLocation>, at: usize) -> bool {
    let Engine(RunEnded { tx: ended, .. }) = &trace[at].1 else { return false };
    let next = trace[at + 1..].iter().find_map(|(_, event)| match event {
        Engine(RunBegan(tx)) if tx == ended => Some(true),
        Engine(RanSecond { tx, .. }) if tx == ended => Some(true),
        Engine(Sent(report)) if report.job.chunk.indices().any(|tx| tx == *ended) => {
            Some(report.void)
        }
        _ => None,
    });
    next.unwrap_or(false)
}

/// Whether this is a change by a transaction that ends a life, and so names all above it in the end.
pub(crate) fn names_all(trace: &Trace<ToyLocation>, at: usize) -> bool {
    let Store(StoreEvent::Changed { version, .. }) = &trace[at].1 else { return false };
    let ended = trace[..at].iter().rev().find_map(|(_, event)| match event {
        Engine(RunEnded { tx, end }) if *tx == version.tx => Some(end),
        _ => None,
    });
    let Some(RunEnd::Effects { writes, .. }) = ended else { return false };
    writes.iter().any(|(location, _)| location.is_scope())
}
