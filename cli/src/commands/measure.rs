//! Running one block both ways and comparing everything.

use super::report::{BlockReport, Measured, Times, Verdict};
use crate::{
    block::Block,
    block_file::{BlockFile, FieldError, FileDatabase},
    checks::{self, Results},
    compare::{Differences, braid},
    sequential::{OnInvalid, Position, Prepared, SequentialError, SequentialOutput},
};
use braid_evm::{BlockError, BlockOutput, Executor, Mode};
use cpu_time::ProcessTime;
use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

/// Differences that are described for one block.
const DESCRIBED: usize = 10;

type Sequential = Result<SequentialOutput, SequentialError<Infallible>>;
type Parallel = Result<BlockOutput, BlockError<Infallible>>;

/// Executes `file` sequentially and with `executor`, `rounds` times each, and compares the first
/// sequential result with every parallel one and with the header.
///
/// # Errors
/// The field of the file that no execution can use.
pub(super) fn run_block(
    executor: &mut Executor,
    file: &BlockFile,
    name: String,
    rounds: u32,
) -> Result<BlockReport, FieldError> {
    let (block, database) = file.to_block()?;
    let mut bench = Bench {
        on_invalid: match executor.config().mode {
            Mode::Validate => OnInvalid::Reject,
            Mode::Build => OnInvalid::Skip,
        },
        shared: Arc::new(braid_evm::Block::from(&block)),
        block,
        database,
        executor,
        times: Vec::new(),
    };
    let report = BlockReport {
        file: name,
        block: file.block.header.inner.number,
        transactions: bench.block.transactions.len(),
        verdict: Verdict::Right,
        checks: Vec::new(),
        measured: None,
    };
    let (expected, found) = bench.round(true);
    Ok(match expected {
        Ok(expected) => bench.judge_output(report, file, &expected, found, rounds),
        Err(error) => judge_error(report, &error, &found),
    })
}

/// One block, ready to be run again and again.
struct Bench<'a> {
    on_invalid: OnInvalid,
    block: Block,
    shared: Arc<braid_evm::Block>,
    database: FileDatabase,
    executor: &'a mut Executor,
    times: Vec<(Times, Times)>,
}

impl Bench<'_> {
    /// Runs the block once each way; who begins alternates, as the first finds colder caches.
    fn round(&mut self, sequential_first: bool) -> (Sequential, Parallel) {
        if sequential_first {
            let (sequential, first) = self.sequential();
            let (parallel, second) = self.parallel();
            self.times.push((first, second));
            (sequential, parallel)
        } else {
            let (parallel, second) = self.parallel();
            let (sequential, first) = self.sequential();
            self.times.push((first, second));
            (sequential, parallel)
        }
    }

    fn sequential(&self) -> (Sequential, Times) {
        let (prepared, database) = (Prepared::new(&self.block), self.database.clone());
        timed(|| prepared.run(database, self.on_invalid))
    }

    fn parallel(&mut self) -> (Parallel, Times) {
        let (block, database) = (Arc::clone(&self.shared), self.database.clone());
        timed(|| self.executor.execute(block, database))
    }

    fn judge_output(
        mut self,
        mut report: BlockReport,
        file: &BlockFile,
        expected: &SequentialOutput,
        found: Parallel,
        rounds: u32,
    ) -> BlockReport {
        let mut differences = difference_lines(expected, &found);
        let stats = found.as_ref().map(|output| output.stats).unwrap_or_default();
        drop(found);
        for round in 1..rounds {
            if !differences.is_empty() {
                break;
            }
            let (_, found) = self.round(round % 2 == 0);
            differences = difference_lines(expected, &found);
        }
        let skipped = expected.outcomes.len().saturating_sub(expected.receipts.len());
        // A header speaks of its whole block; it says nothing of one with transactions left out.
        if skipped == 0 {
            let results = Results {
                gas_used: expected.gas_used,
                receipts: &expected.receipts,
                requests: &expected.requests,
            };
            report.checks = checks::against_header(file, self.block.cfg.spec, results);
        }
        let wrong = report.checks.iter().filter(|check| check.mismatch.is_some());
        differences.extend(wrong.map(|check| format!("header: {check}")));
        if !differences.is_empty() {
            report.verdict = Verdict::Mismatch(differences);
        }
        report.measured = Some(Measured {
            gas: expected.gas_used,
            skipped,
            sequential: median(self.times.iter().map(|(sequential, _)| *sequential)),
            parallel: median(self.times.iter().map(|(_, parallel)| *parallel)),
            stats,
        });
        report
    }
}

fn difference_lines(expected: &SequentialOutput, found: &Parallel) -> Vec<String> {
    match found {
        Ok(found) => lines(&braid::outputs(expected, found, DESCRIBED)),
        Err(error) => vec![format!("expected success, found the error \"{error}\"")],
    }
}

fn lines(differences: &Differences) -> Vec<String> {
    differences.to_string().lines().map(str::to_owned).collect()
}

/// A block that sequential execution rejects: the parallel one must reject it for the same reason.
fn judge_error(
    mut report: BlockReport,
    expected: &SequentialError<Infallible>,
    found: &Parallel,
) -> BlockReport {
    let differences = match found {
        Ok(_) => vec![format!("expected the error \"{expected}\", found success")],
        Err(found) => lines(&braid::errors(expected, found)),
    };
    report.verdict = if differences.is_empty() {
        Verdict::Rejected {
            error: expected.to_string(),
            transaction: match expected.at {
                Position::Transaction(index) => Some(index),
                Position::PreBlock | Position::PostBlock => None,
            },
        }
    } else {
        Verdict::Mismatch(differences)
    };
    report
}

/// Runs `work` and tells how long it took on the clock and on all processors together.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Times) {
    let before = ProcessTime::try_now().ok();
    let start = Instant::now();
    let result = work();
    let wall = start.elapsed();
    let after = ProcessTime::try_now().ok();
    let cpu =
        before.zip(after).map_or(Duration::ZERO, |(before, after)| after.duration_since(before));
    (result, Times { wall, cpu })
}

/// Median of wall and CPU times, each on its own; the lower one of an even number.
fn median(times: impl Iterator<Item = Times> + Clone) -> Times {
    let middle = |mut values: Vec<Duration>| {
        values.sort_unstable();
        values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
    };
    Times {
        wall: middle(times.clone().map(|times| times.wall).collect()),
        cpu: middle(times.map(|times| times.cpu).collect()),
    }
}
