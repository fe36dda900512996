//! Executes a block sequentially and with Braid, compares everything, and measures both.

pub mod checks;
mod record;
mod report;

pub use record::{BlockRecord, MeasuredRecord, SegmentRecord, Setting};
pub use report::{BlockReport, ListReport, Measured, Timed, Verdict};

use crate::{
    block::Block,
    block_file::BlockFile,
    compare::{Differences, braid},
    sequential::{OnInvalid, Position, Prepared, SequentialError, SequentialOutput},
    state_root::{PartialRootError, Witness},
    timing::{Pauses, Times, Timing, timed},
};
use braid_evm::{
    AccessList, AccessListError, BlockError, BlockErrorKind, BlockOutput, Executor, Mode,
    runtime::simulated::Random,
};
use checks::{CheckResult, Results};
use core::fmt::Display;
use revm::DatabaseRef;
use std::sync::Arc;

type Sequential<E> = Result<SequentialOutput, SequentialError<E>>;
type Parallel<E> = Result<BlockOutput, BlockError<E>>;

/// A block, and the values that its result is compared with.
#[derive(Debug)]
pub struct Subject<'a, D> {
    /// The file of the block.
    pub file: &'a BlockFile,
    /// The block in the file.
    pub block: &'a Block,
    /// The state before the block.
    pub database: &'a D,
    /// Nodes of the state trie, if there is a witness file.
    pub witness: Option<&'a Witness>,
    /// The access list with which the block is executed.
    pub list: Option<&'a Arc<AccessList>>,
    /// An access list as an untrusted hint.
    pub hint: Option<&'a Arc<AccessList>>,
}

/// An executed block.
#[derive(Debug)]
pub struct Ran<E> {
    /// The report about it.
    pub report: BlockReport,
    /// The block's access list, if the executor computes lists and there is no difference.
    pub made: Option<AccessList>,
    /// The error in the access list with which the block was executed.
    pub wrong: Option<AccessListError>,
    /// The error with which sequential execution ends, if it does.
    pub error: Option<SequentialError<E>>,
}

/// Executes the block of `subject` sequentially and with `executor`, once to compare and then as
/// often as `timing` says to measure. Compares the first sequential result with every parallel one
/// and with the header. The report gives the block's file the name `name`.
pub fn verify<D>(
    executor: &mut Executor,
    subject: &Subject<'_, D>,
    name: String,
    timing: Timing,
) -> Ran<D::Error>
where
    D: DatabaseRef<Error: Display> + Clone + Send + Sync + 'static,
{
    let (access_list, access_list_hint) = (subject.list.cloned(), subject.hint.cloned());
    let block_without = braid_evm::Block::from(subject.block);
    let shared = braid_evm::Block { access_list, access_list_hint, ..block_without };
    let mut bench = Bench {
        on_invalid: match executor.config().engine.mode {
            Mode::Validate => OnInvalid::Reject,
            Mode::Build => OnInvalid::Skip,
        },
        makes_lists: executor.config().access_list,
        shared: Arc::new(shared),
        subject,
        executor,
        pauses: Pauses::default(),
        times: Vec::new(),
    };
    let header = &subject.file.block.header;
    let report = BlockReport {
        file: name,
        block: header.inner.number,
        hash: header.hash,
        transactions: subject.block.transactions.len(),
        verdict: Verdict::Right,
        checks: Vec::new(),
        not_checkable: None,
        list: None,
        segments: Vec::new(),
        measured: None,
    };
    let (expected, found) = bench.round(true);
    let wrong = found.as_ref().err().and_then(wrong_list);
    match expected {
        Ok(expected) => {
            let (report, made) = bench.judge_output(report, &expected, found, timing);
            Ran { report, made, wrong, error: None }
        }
        Err(error) => {
            let report = judge_error(report, &error, &found);
            Ran { report, made: None, wrong, error: Some(error) }
        }
    }
}

/// Returns the error in the block's access list, if that is the cause of `error`.
fn wrong_list<E>(error: &BlockError<E>) -> Option<AccessListError> {
    match &error.kind {
        BlockErrorKind::AccessList(wrong) => Some(wrong.clone()),
        _ => None,
    }
}

impl<D> Subject<'_, D> {
    /// Compares the state root with the header's, if there is a witness.
    fn state_root(&self, found: &BlockOutput) -> Option<Result<CheckResult, PartialRootError>> {
        self.witness.map(|witness| checks::state_root(self.file, witness, &found.bundle))
    }
}

/// One block, ready to be executed repeatedly.
struct Bench<'a, D> {
    subject: &'a Subject<'a, D>,
    on_invalid: OnInvalid,
    /// Whether the sequential side also builds access lists, with revm's own builder.
    makes_lists: bool,
    shared: Arc<braid_evm::Block>,
    executor: &'a mut Executor,
    /// Pauses around each run.
    pauses: Pauses,
    times: Vec<(Times, Times)>,
}

impl<D> Bench<'_, D>
where
    D: DatabaseRef<Error: Display> + Clone + Send + Sync + 'static,
{
    /// Runs the block once each way.
    fn round(&mut self, sequential_first: bool) -> (Sequential<D::Error>, Parallel<D::Error>) {
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

    fn sequential(&self) -> (Sequential<D::Error>, Times) {
        let Subject { block, database, .. } = *self.subject;
        let (mut prepared, database) = (Prepared::new(block), database.clone());
        if self.makes_lists {
            prepared = prepared.with_access_lists();
        }
        timed(self.pauses, || prepared.run_keeping(database, self.on_invalid))
    }

    fn parallel(&mut self) -> (Parallel<D::Error>, Times) {
        let (block, database) = (Arc::clone(&self.shared), self.subject.database.clone());
        timed(self.pauses, || (self.executor.block(block).database(database).execute(), ()))
    }

    fn judge_output(
        mut self,
        mut report: BlockReport,
        expected: &SequentialOutput,
        found: Parallel<D::Error>,
        timing: Timing,
    ) -> (BlockReport, Option<AccessList>) {
        let subject = self.subject;
        let mut differences = difference_lines(expected, &found);
        let stats = found.as_ref().map(|output| output.stats).unwrap_or_default();
        let (mut state_root, mut made) = (None, None);
        if let Ok(found) = found {
            report.segments.clone_from(&found.segments);
            state_root = subject.state_root(&found);
            made = found.access_list;
        }
        // The first run of a process includes one-time setup, such as the tables of EIP-4844: two
        // seconds in the first block.
        self.times.clear();
        self.makes_lists = false;
        self.pauses = Pauses::new(timing.pause);
        // The second run of a round finds warmer caches: a coin decides the first round's order,
        // which then alternates.
        let first = Random::new(subject.file.block.header.inner.number).chance(1, 2);
        for round in 0..timing.rounds {
            if !differences.is_empty() {
                break;
            }
            let (_, found) = self.round(first == (round % 2 == 0));
            differences = difference_lines(expected, &found);
        }
        let skipped = expected.outcomes.len().saturating_sub(expected.receipts.len());
        // A header describes its whole block, so it cannot be compared if transactions were
        // skipped.
        if skipped == 0 {
            let results = Results::from(expected);
            report.checks = checks::against_file(subject.file, subject.block.cfg.spec, results);
            match state_root {
                Some(Ok(check)) => report.checks.push(check),
                Some(Err(error)) => report.not_checkable = Some(error.to_string()),
                None => {}
            }
            let list = made.as_ref().or(subject.list.map(Arc::as_ref));
            let hash = list.and_then(|list| checks::access_list(subject.file, list));
            report.checks.extend(hash);
        }
        differences.extend(report.checks.iter().filter_map(CheckResult::difference));
        if !differences.is_empty() {
            report.verdict = Verdict::Mismatch(differences);
            made = None;
        }
        report.measured = Some(Measured {
            gas: expected.gas_used,
            skipped,
            timed: (!self.times.is_empty()).then(|| Timed {
                sequential: Times::median(self.times.iter().map(|(sequential, _)| *sequential)),
                parallel: Times::median(self.times.iter().map(|(_, parallel)| *parallel)),
            }),
            stats,
        });
        (report, made)
    }
}

fn difference_lines<E: Display>(expected: &SequentialOutput, found: &Parallel<E>) -> Vec<String> {
    match found {
        Ok(found) => lines(&braid::outputs(expected, found)),
        Err(error) if wrong_list(error).is_some() => vec![error.to_string()],
        Err(error) => vec![format!("expected success, found the error \"{error}\"")],
    }
}

fn lines(differences: &Differences) -> Vec<String> {
    differences.to_string().lines().map(str::to_owned).collect()
}

/// Judges a block that sequential execution rejects: the parallel one must reject it for the same
/// reason.
fn judge_error<E: Display>(
    mut report: BlockReport,
    expected: &SequentialError<E>,
    found: &Parallel<E>,
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

#[cfg(test)]
mod tests {
    //! The parallel result of another block must never pass for equal.

    use super::*;
    use crate::workload::{Workload, WorkloadSpec, generate};
    use braid_evm::Config;
    use std::convert::Infallible;

    /// Returns both results of a block of 20 transfers; `spoil` takes the funds of the last sender.
    fn both(seed: u64, spoil: bool) -> (Sequential<Infallible>, Parallel<Infallible>) {
        let spec = WorkloadSpec::new(Workload::Transfers, 20, 0, seed).unsigned();
        let mut file = generate(&spec).expect("generates");
        if spoil {
            let sender = file.transactions().expect("whole")[19].inner.signer();
            file.pre_state.get_mut(&sender).expect("there").balance = Default::default();
        }
        let (block, database) = file.to_block().expect("a block");
        let sequential = Prepared::new(&block).run(database.clone(), OnInvalid::Reject);
        let mut executor = Executor::new(Config::default()).expect("threads start");
        (sequential, executor.block(braid_evm::Block::from(&block)).database(database).execute())
    }

    fn report() -> BlockReport {
        BlockReport {
            file: String::new(),
            block: 1,
            hash: Default::default(),
            transactions: 20,
            verdict: Verdict::Right,
            checks: Vec::new(),
            not_checkable: None,
            list: None,
            segments: Vec::new(),
            measured: None,
        }
    }

    #[test]
    fn another_output_is_a_difference() {
        let (expected, found) = both(1, false);
        let expected = expected.expect("valid");
        assert_eq!(difference_lines(&expected, &found), Vec::<String>::new());
        assert!(!difference_lines(&expected, &both(2, false).1).is_empty());
        let lines = difference_lines(&expected, &both(1, true).1);
        assert!(lines[0].contains("expected success"), "{lines:?}");
    }

    #[test]
    fn another_error_or_none_is_a_mismatch() {
        let (expected, found) = both(1, true);
        let expected = expected.expect_err("the last sender has nothing");
        let same = judge_error(report(), &expected, &found).verdict;
        assert!(matches!(same, Verdict::Rejected { transaction: Some(19), .. }), "{same:?}");
        let success = judge_error(report(), &expected, &both(1, false).1).verdict;
        assert!(matches!(success, Verdict::Mismatch(_)), "{success:?}");
        let earlier = SequentialError { at: Position::Transaction(18), ..expected };
        let elsewhere = judge_error(report(), &earlier, &found).verdict;
        assert!(matches!(elsewhere, Verdict::Mismatch(_)), "{elsewhere:?}");
    }
}
