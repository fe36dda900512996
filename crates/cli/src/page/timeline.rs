//! Activity of each worker: runs of transactions, batches, other work, and waiting.

use braid_evm::{
    runtime::simulated::Record,
    worker::{Activity, Point},
};
use core::ops::Range;
use serde::Serialize;
use std::collections::HashMap;

/// Activity of the workers in one simulated execution of a block, in simulated nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Number of workers.
    pub workers: usize,
    /// End of the block.
    pub end: u64,
    /// Runs of transactions, ordered by worker and start.
    pub runs: Vec<Run>,
    /// Batches: transactions that a worker ran one after the other as one job.
    pub batches: Vec<Batch>,
    /// All other activity, ordered by worker and start. Runs and spans together cover the time of
    /// each worker.
    pub spans: Vec<Span>,
    /// When each transaction was committed; null if that was not recorded.
    pub commits: Vec<Option<u64>>,
}

/// A run of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The worker.
    pub worker: usize,
    /// Start.
    pub begin: u64,
    /// End.
    pub end: u64,
    /// The transaction.
    pub transaction: usize,
    /// Number of its runs that ended before this one.
    pub earlier: usize,
    /// Outcome of the run.
    pub how: How,
}

/// Outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The result was committed.
    Committed,
    /// The run aborted: another run of the transaction was committed.
    Aborted,
    /// The run stopped at a transaction that had to end first.
    Blocked,
}

/// A job of several transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// The worker.
    pub worker: usize,
    /// Start.
    pub begin: u64,
    /// End of its last run.
    pub end: u64,
    /// Index of the first transaction of its range.
    pub first: usize,
    /// Index after the last transaction of its range.
    pub last: usize,
    /// Number of transactions of the range that it ran.
    pub transactions: usize,
}

/// Activity of a worker other than running a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The worker.
    pub worker: usize,
    /// Start.
    pub begin: u64,
    /// End.
    pub end: u64,
    /// The activity.
    pub what: What,
}

/// Kind of activity other than running transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Publishing the writes of a transaction, or comparing its reads.
    Publish,
    /// Taking, reporting, validating or committing jobs.
    Coordinate,
    /// Idle.
    Wait,
}

impl Timeline {
    /// Builds the timeline of a block that ended at `end` from its `record`. A run of each
    /// transaction takes the time in `prices`, because the record leaves out the transactions that
    /// worker 0 runs sequentially while the others are idle.
    #[must_use]
    pub fn new(record: &Record, workers: usize, prices: &[u64], end: u64) -> Self {
        let transactions = prices.len();
        let mut runs = runs(record, transactions);
        let mut commits = commits(record, transactions);
        judge(&mut runs, &commits);
        let mut batches = batches(record, &runs);
        let mut spans = others(record);
        spans.retain(|span| span.worker < workers);
        let alone = alone(record, &commits);
        let lasts = |range: &Range<usize>| prices[range.clone()].iter().sum::<u64>();
        let moved = |at: u64| {
            let before = alone.iter().filter(|(begin, _)| *begin <= at);
            at + before.map(|(_, range)| lasts(range)).sum::<u64>()
        };
        let move_all = |begin: &mut u64, end: &mut u64| {
            let length = *end - *begin;
            *begin = moved(*begin);
            *end = *begin + length;
        };
        runs.iter_mut().for_each(|run| move_all(&mut run.begin, &mut run.end));
        batches.iter_mut().for_each(|batch| move_all(&mut batch.begin, &mut batch.end));
        spans.iter_mut().for_each(|span| move_all(&mut span.begin, &mut span.end));
        commits.iter_mut().flatten().for_each(|at| *at = moved(*at));
        // Only now: activities before and after a sequential segment are adjacent in the record.
        join(&mut spans);
        let end = moved(end);
        let mut ran = vec![0; transactions];
        runs.iter().for_each(|run| ran[run.transaction] += 1);
        for (begin, range) in &alone {
            // Segments that start at the same moment run one after the other.
            let later = alone.iter().filter(|(at, it)| at == begin && it.start >= range.start);
            let mut at = moved(*begin) - later.map(|(_, range)| lasts(range)).sum::<u64>();
            for transaction in range.clone() {
                let (begin, how) = (at, How::Committed);
                at += prices[transaction];
                let earlier = ran[transaction];
                runs.push(Run { worker: 0, begin, end: at, transaction, earlier, how });
                commits[transaction] = Some(at);
            }
        }
        runs.sort_unstable_by_key(|run| (run.worker, run.begin, run.transaction));
        let busy = runs.iter().map(|run| (run.worker, run.begin, run.end));
        let busy = busy.chain(spans.iter().map(|span| (span.worker, span.begin, span.end)));
        spans.extend(gaps(busy.collect(), workers, end));
        spans.sort_unstable_by_key(|span| (span.worker, span.begin));
        Self { workers, end, runs, batches, spans, commits }
    }
}

/// Returns the ranges of transactions that worker 0 ran while the others were idle, and their start
/// according to the record: before the task that commits the next transaction, or after all tasks.
fn alone(record: &Record, commits: &[Option<u64>]) -> Vec<(u64, Range<usize>)> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (transaction, _) in commits.iter().enumerate().filter(|(_, commit)| commit.is_none()) {
        match ranges.last_mut().filter(|range| range.end == transaction) {
            Some(range) => range.end += 1,
            None => ranges.push(transaction..transaction + 1),
        }
    }
    let begin = |range: &Range<usize>| {
        let next = commits.get(range.end).copied().flatten();
        // Committing takes time, so its task ends later.
        let ended = |end: &&u64| next.is_none_or(|committed| **end <= committed);
        record.ends.iter().take_while(ended).last().copied().unwrap_or_default()
    };
    ranges.into_iter().map(|range| (begin(&range), range)).collect()
}

/// Returns all runs, with the outcome `Committed`.
fn runs(record: &Record, transactions: usize) -> Vec<Run> {
    let spans = record.spans.iter().filter(|span| span.after == Some(Point::Begin));
    let ends: HashMap<(u16, u64), u64> =
        spans.map(|span| ((span.worker.0, span.began), span.ended)).collect();
    let runs = record.activities.iter().filter_map(|reported| {
        let Activity::Run(tx) = reported.activity else { return None };
        let (transaction, worker) = (tx.position(), usize::from(reported.worker.0));
        // The final task reads the state after the last transaction as a run does.
        let is_run = transaction < transactions;
        let end = ends.get(&(reported.worker.0, reported.at)).copied().unwrap_or(reported.at);
        let (begin, how) = (reported.at, How::Committed);
        is_run.then_some(Run { worker, begin, end, transaction, earlier: 0, how })
    });
    let mut runs: Vec<Run> = runs.collect();
    runs.sort_unstable_by_key(|run| (run.worker, run.begin));
    let blocked = record.activities.iter().filter_map(|reported| match reported.activity {
        Activity::Blocked(tx) => Some((usize::from(reported.worker.0), tx.position(), reported.at)),
        _ => None,
    });
    for (worker, transaction, at) in blocked {
        let before = |run: &&mut Run| {
            run.worker == worker && run.transaction == transaction && run.begin <= at
        };
        if let Some(run) = runs.iter_mut().rev().find(before) {
            run.how = How::Blocked;
        }
    }
    runs
}

fn commits(record: &Record, transactions: usize) -> Vec<Option<u64>> {
    let mut commits = vec![None; transactions];
    for reported in &record.activities {
        if let Activity::Committed(chunk) = reported.activity {
            for tx in chunk.indices() {
                if let Some(commit) = commits.get_mut(tx.position()) {
                    *commit = Some(reported.at);
                }
            }
        }
    }
    commits
}

/// Sets the outcomes of runs. Of several runs of a transaction, the last one that ended before the
/// commit was committed; none was if the commit was not recorded.
fn judge(runs: &mut [Run], commits: &[Option<u64>]) {
    let mut of_each: Vec<Vec<usize>> = vec![Vec::new(); commits.len()];
    for (index, run) in runs.iter().enumerate() {
        of_each[run.transaction].push(index);
    }
    for (all, commit) in of_each.iter_mut().zip(commits) {
        all.sort_unstable_by_key(|&index| (runs[index].end, runs[index].begin));
        let counts = |run: &Run| {
            run.how != How::Blocked && commit.is_some_and(|committed| run.end <= committed)
        };
        let counted = all.iter().copied().rfind(|&index| counts(&runs[index]));
        for (earlier, &index) in all.iter().enumerate() {
            runs[index].earlier = earlier;
            if runs[index].how == How::Committed && Some(index) != counted {
                runs[index].how = How::Aborted;
            }
        }
    }
}

/// Returns the batches. A batch lasts until its worker runs another transaction or starts another
/// batch.
fn batches(record: &Record, runs: &[Run]) -> Vec<Batch> {
    let begun = record.activities.iter().filter_map(|reported| match reported.activity {
        Activity::Batch(txs) => Some((usize::from(reported.worker.0), reported.at, txs)),
        _ => None,
    });
    let mut begun: Vec<_> = begun.collect();
    begun.sort_by_key(|(worker, at, _)| (*worker, *at));
    let mut batches = Vec::new();
    for (index, &(worker, at, txs)) in begun.iter().enumerate() {
        let next = begun.get(index + 1).filter(|(of, ..)| *of == worker);
        let until = next.map_or(u64::MAX, |(_, at, _)| *at);
        let (first, last) = (txs.first.position(), txs.end.position());
        let from = runs.partition_point(|run| (run.worker, run.begin) < (worker, at));
        let of_it = runs[from..].iter().take_while(|run| {
            run.worker == worker && run.begin < until && (first..last).contains(&run.transaction)
        });
        let (mut end, mut transactions) = (at, 0);
        for run in of_it {
            end = end.max(run.end);
            transactions += 1;
        }
        batches.push(Batch { worker, begin: at, end, first, last, transactions });
    }
    batches
}

/// Returns all activity other than runs, step by step.
fn others(record: &Record) -> Vec<Span> {
    let spans = record.spans.iter().filter_map(|span| {
        let what = match span.after {
            Some(Point::Begin) => return None,
            Some(Point::Read | Point::BaseRead | Point::Publish | Point::Check) => What::Publish,
            _ => What::Coordinate,
        };
        let worker = usize::from(span.worker.0);
        Some(Span { worker, begin: span.began, end: span.ended, what })
    });
    spans.collect()
}

/// Joins adjacent spans of the same kind.
fn join(spans: &mut Vec<Span>) {
    spans.sort_by_key(|span| (span.worker, span.begin));
    spans.dedup_by(|next, last| {
        let goes_on = (last.worker, last.what, last.end) == (next.worker, next.what, next.begin);
        if goes_on {
            last.end = next.end;
        }
        goes_on
    });
}

/// Returns the time of each worker that is in none of `busy`.
fn gaps(mut busy: Vec<(usize, u64, u64)>, workers: usize, end: u64) -> Vec<Span> {
    busy.sort_unstable();
    let mut gaps = Vec::new();
    for worker in 0..workers {
        let mut until = 0;
        let from = busy.partition_point(|(of, ..)| *of < worker);
        for (_, begin, ended) in busy[from..].iter().take_while(|(of, ..)| *of == worker) {
            if *begin > until {
                gaps.push(Span { worker, begin: until, end: *begin, what: What::Wait });
            }
            until = until.max(*ended);
        }
        if end > until {
            gaps.push(Span { worker, begin: until, end, what: What::Wait });
        }
    }
    gaps
}
