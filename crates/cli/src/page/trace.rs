//! A timeline in the trace event format, which Perfetto and chrome://tracing read.
//!
//! Each block is a process and each worker a thread of it; times are simulated microseconds.

use super::timeline::{Batch, How, Run, Span, Timeline, What};
use serde_json::{Value, json};

/// Returns the trace of named blocks.
#[must_use]
pub fn trace<'a>(blocks: impl IntoIterator<Item = (&'a str, &'a Timeline)>) -> Value {
    let mut events = Vec::new();
    for (block, (name, timeline)) in blocks.into_iter().enumerate() {
        let process = block + 1;
        events.push(named("process_name", process, 0, name));
        for worker in 0..timeline.workers {
            events.push(named("thread_name", process, worker, &format!("worker {worker}")));
        }
        // A nested event has to come after the enclosing one.
        let batches = timeline.batches.iter().map(|batch| of_batch(process, batch));
        let runs = timeline.runs.iter().map(|run| of_run(process, run));
        let spans = timeline.spans.iter().filter(|span| span.what != What::Wait);
        let spans = spans.map(|span| of_span(process, span));
        events.extend(batches.chain(runs).chain(spans));
        for (transaction, at) in timeline.commits.iter().enumerate() {
            if let Some(at) = at {
                events.push(json!({
                    "name": format!("commit {transaction}"), "cat": "commit", "ph": "i", "s": "p",
                    "pid": process, "tid": 0, "ts": microseconds(*at),
                    "args": { "transaction": transaction },
                }));
            }
        }
    }
    json!({ "displayTimeUnit": "ns", "traceEvents": events })
}

#[expect(clippy::cast_precision_loss, reason = "days of nanoseconds are exact")]
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

fn named(what: &str, process: usize, thread: usize, name: &str) -> Value {
    json!({ "name": what, "ph": "M", "pid": process, "tid": thread, "args": { "name": name } })
}

fn complete(
    (name, kind): (&str, &str),
    (process, worker): (usize, usize),
    (begin, end): (u64, u64),
    arguments: Value,
) -> Value {
    json!({
        "name": name, "cat": kind, "ph": "X", "pid": process, "tid": worker,
        "ts": microseconds(begin), "dur": microseconds(end.saturating_sub(begin)),
        "args": arguments,
    })
}

fn of_run(process: usize, run: &Run) -> Value {
    let Run { worker, begin, end, transaction, earlier, how } = *run;
    let kind = match how {
        How::Committed => "run",
        How::Aborted => "aborted",
        How::Blocked => "blocked",
    };
    let name = match how {
        How::Committed => format!("transaction {transaction}"),
        How::Aborted | How::Blocked => format!("transaction {transaction}, {kind}"),
    };
    let arguments = json!({ "transaction": transaction, "earlier_runs": earlier });
    complete((&name, kind), (process, worker), (begin, end), arguments)
}

fn of_batch(process: usize, batch: &Batch) -> Value {
    let Batch { worker, begin, end, first, last, transactions } = *batch;
    let arguments = json!({ "first": first, "last": last, "transactions": transactions });
    complete(("batch", "batch"), (process, worker), (begin, end), arguments)
}

fn of_span(process: usize, span: &Span) -> Value {
    let Span { worker, begin, end, what } = *span;
    let name = match what {
        What::Publish => "publish",
        What::Coordinate => "coordinate",
        What::Wait => "wait",
    };
    complete((name, name), (process, worker), (begin, end), json!({}))
}
