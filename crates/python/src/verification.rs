//! Executing a block both ways and comparing everything, as `braid run` does.

use crate::{
    failure::Failure,
    input::{Input, which},
    measured::{SegmentLine, Setting, milliseconds, ratio},
    state::{self, FileState, Missing},
};
use alloy_primitives::B256;
use braid_blocks::{
    block_file::BlockFile,
    compare::braid,
    sequential::{OnInvalid, Prepared, SequentialError, SequentialErrorKind, SequentialOutput},
    state_root::Witness,
    timing::{Pauses, Times, timed},
};
use braid_cli::{
    checks::{self, Check, CheckResult, Results},
    profile::PROFILE,
};
use braid_evm::{BlockError, BlockErrorKind, BlockOutput, Executor, Mode, Segment, Stats};
use pyo3::pybacked::PyBackedBytes;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

type Sequential = Result<SequentialOutput, SequentialError<Missing>>;
type Parallel = Result<BlockOutput, BlockError<Missing>>;

/// How a block is verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Rounds for the clock, after the one that is compared first.
    pub(crate) rounds: u32,
    /// Before each run for the clock.
    pub(crate) pause: Duration,
    /// Whether senders are recovered from signatures and compared.
    pub(crate) signatures: bool,
    /// Whether maps are written as lists of `{key, value}`, which Arrow's reader of JSON takes.
    pub(crate) pairs: bool,
    pub(crate) setting: Setting,
}

/// A map, or what stands for it in a table.
#[derive(Serialize)]
#[serde(untagged)]
enum Entries<V> {
    Map(BTreeMap<&'static str, V>),
    Pairs(Vec<Pair<V>>),
}

#[derive(Serialize)]
struct Pair<V> {
    key: &'static str,
    value: V,
}

impl<V> Entries<V> {
    fn new(entries: impl Iterator<Item = (&'static str, V)>, pairs: bool) -> Self {
        let map: BTreeMap<_, _> = entries.collect();
        match pairs {
            true => Self::Pairs(map.into_iter().map(|(key, value)| Pair { key, value }).collect()),
            false => Self::Map(map),
        }
    }

    /// A map without entries is left out of a line, and a list stays.
    fn is_left_out(&self) -> bool {
        matches!(self, Self::Map(map) if map.is_empty())
    }
}

/// A block that was run both ways.
pub(crate) struct Ran {
    checks: Vec<CheckResult>,
    not_checkable: Option<String>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) differences: Vec<String>,
    /// `None` where there is no result.
    gas: Option<u64>,
    skipped: usize,
    stats: Stats,
    /// `None` where nothing was timed.
    sequential: Option<Times>,
    parallel: Option<Times>,
}

impl Ran {
    /// Sequential over parallel time on the clock.
    pub(crate) fn speedup(&self) -> Option<f64> {
        ratio(self.sequential?.wall, self.parallel?.wall)
    }

    fn cpu_ratio(&self) -> Option<f64> {
        ratio(self.parallel?.cpu, self.sequential?.cpu)
    }

    pub(crate) fn seq_ms(&self) -> f64 {
        self.sequential.map_or(0.0, |times| milliseconds(times.wall))
    }

    pub(crate) fn par_ms(&self) -> f64 {
        self.parallel.map_or(0.0, |times| milliseconds(times.wall))
    }
}

/// The fields of `braid run --json`, and the block's hash; times are null where nothing was timed.
#[derive(Serialize)]
struct BlockLine<'a> {
    file: &'a str,
    block: u64,
    hash: B256,
    txs: usize,
    ok: bool,
    checks: Entries<bool>,
    #[serde(skip_serializing_if = "Entries::is_left_out")]
    not_checkable: Entries<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    segments: Vec<SegmentLine>,
    #[serde(flatten)]
    measured: Option<MeasuredLine>,
    workers: u16,
    mode: &'static str,
    policy: &'static str,
    rounds: u32,
    access_lists: &'static str,
    access_list_hint: bool,
    profile: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    differences: &'a [String],
}

#[derive(Serialize)]
struct MeasuredLine {
    gas: u64,
    skipped: usize,
    seq_ms: Option<f64>,
    seq_cpu_ms: Option<f64>,
    par_ms: Option<f64>,
    par_cpu_ms: Option<f64>,
    speedup: Option<f64>,
    cpu_ratio: Option<f64>,
    incarnations: u64,
    aborts: u64,
    speculative_share: f64,
    sequential: bool,
}

/// Verifies the block of `input` and returns the line about it.
pub(crate) fn verify(
    executor: &mut Executor,
    input: &Input,
    witness: Option<&PyBackedBytes>,
    name: &str,
    how: How,
) -> Result<Vec<u8>, Failure> {
    let witness = input.witness(witness, name)?;
    let file = input.load(name)?;
    if how.signatures {
        file.check_signatures().map_err(|error| Failure::field(name, error))?;
    }
    let ran = run(executor, &file, witness.as_ref(), name, how)?;
    let checks = ran.checks.iter();
    let line = BlockLine {
        file: name,
        block: file.block.header.inner.number,
        hash: file.block.header.hash,
        txs: file.block.transactions.len(),
        ok: ran.differences.is_empty(),
        checks: Entries::new(
            checks.map(|made| (made.check.name(), made.mismatch.is_none())),
            how.pairs,
        ),
        not_checkable: Entries::new(
            ran.not_checkable.iter().map(|why| (Check::StateRoot.name(), why.as_str())),
            how.pairs,
        ),
        segments: ran.segments.iter().map(SegmentLine::from).collect(),
        measured: measured(&ran),
        workers: how.setting.workers,
        mode: how.setting.mode,
        policy: how.setting.policy,
        rounds: how.rounds,
        access_lists: "none",
        access_list_hint: false,
        profile: PROFILE,
        differences: &ran.differences,
    };
    serde_json::to_vec(&line).map_err(|error| Failure::Internal(error.to_string()))
}

fn measured(ran: &Ran) -> Option<MeasuredLine> {
    Some(MeasuredLine {
        gas: ran.gas?,
        skipped: ran.skipped,
        seq_ms: ran.sequential.map(|times| milliseconds(times.wall)),
        seq_cpu_ms: ran.sequential.map(|times| milliseconds(times.cpu)),
        par_ms: ran.parallel.map(|times| milliseconds(times.wall)),
        par_cpu_ms: ran.parallel.map(|times| milliseconds(times.cpu)),
        speedup: ran.speedup(),
        cpu_ratio: ran.cpu_ratio(),
        incarnations: ran.stats.incarnations,
        aborts: ran.stats.aborts,
        speculative_share: ran.stats.speculative_share(),
        sequential: ran.stats.sequential,
    })
}

/// A block ready to be run again and again.
struct Bench<'a> {
    block: &'a braid_blocks::block::Block,
    shared: Arc<braid_evm::Block>,
    state: &'a FileState,
    executor: &'a mut Executor,
    on_invalid: OnInvalid,
}

impl Bench<'_> {
    fn sequential(&self, pause: Duration) -> (Sequential, Times) {
        let (prepared, state) = (Prepared::new(self.block), self.state.clone());
        timed(Pauses::new(pause), || prepared.run_keeping(state, self.on_invalid))
    }

    fn parallel(&mut self, pause: Duration) -> (Parallel, Times) {
        let (block, state) = (Arc::clone(&self.shared), self.state.clone());
        timed(Pauses::new(pause), || (self.executor.block(block).database(state).execute(), ()))
    }
}

/// Runs the block of `file` both ways, once and then as often as `how` says for the clock, and compares the first
/// sequential result with every parallel one and with the header.
pub(crate) fn run(
    executor: &mut Executor,
    file: &BlockFile,
    witness: Option<&Witness>,
    name: &str,
    how: How,
) -> Result<Ran, Failure> {
    let (block, state) = state::of(file).map_err(|error| Failure::field(name, error))?;
    let on_invalid = match executor.config().mode {
        Mode::Validate => OnInvalid::Reject,
        Mode::Build => OnInvalid::Skip,
    };
    let shared = Arc::new(braid_evm::Block::from(&block));
    let mut bench = Bench { block: &block, shared, state: &state, executor, on_invalid };
    let mut ran = Ran {
        checks: Vec::new(),
        not_checkable: None,
        segments: Vec::new(),
        differences: Vec::new(),
        gas: None,
        skipped: 0,
        stats: Stats::default(),
        sequential: None,
        parallel: None,
    };
    let (expected, found) = (bench.sequential(Duration::ZERO).0, bench.parallel(Duration::ZERO).0);
    let expected = match expected {
        Ok(expected) => expected,
        Err(error) => {
            let differences = match &found {
                Ok(_) => vec![format!("expected the error \"{error}\", found success")],
                Err(found) => lines(&braid::errors(&error, found)),
            };
            let is_missing = matches!(error.kind, SequentialErrorKind::Base(_));
            if differences.is_empty() || is_missing {
                return Err(Failure::sequential(name, which(file), &error));
            }
            return Ok(Ran { differences, ..ran });
        }
    };
    ran.differences = differences(&expected, &found);
    let mut state_root = None;
    if let Ok(found) = found {
        (ran.stats, ran.segments) = (found.stats, found.segments);
        state_root = witness.map(|witness| checks::state_root(file, witness, &found.bundle));
    }
    time(&mut bench, &mut ran, &expected, file.block.header.inner.number, how);
    ran.gas = Some(expected.gas_used);
    ran.skipped = expected.outcomes.len().saturating_sub(expected.receipts.len());
    // A header says nothing of a block with transactions left out.
    if ran.skipped == 0 {
        ran.checks = checks::against_file(file, block.cfg.spec, Results::from(&expected));
        match state_root {
            Some(Ok(check)) => ran.checks.push(check),
            Some(Err(error)) => ran.not_checkable = Some(error.to_string()),
            None => {}
        }
    }
    ran.differences.extend(ran.checks.iter().filter_map(CheckResult::difference));
    Ok(ran)
}

/// Runs the block for the clock; every result is compared. The second run of a round finds warmer caches, so the two
/// ways take turns in beginning.
fn time(bench: &mut Bench<'_>, ran: &mut Ran, expected: &SequentialOutput, number: u64, how: How) {
    let mut times = Vec::new();
    for round in 0..how.rounds {
        if !ran.differences.is_empty() {
            break;
        }
        let sequential_first = number.is_multiple_of(2) == round.is_multiple_of(2);
        let before = sequential_first.then(|| bench.sequential(how.pause).1);
        let (found, parallel) = bench.parallel(how.pause);
        let sequential = before.unwrap_or_else(|| bench.sequential(how.pause).1);
        times.push((sequential, parallel));
        ran.differences = differences(expected, &found);
    }
    if !times.is_empty() {
        ran.sequential = Some(Times::median(times.iter().map(|(sequential, _)| *sequential)));
        ran.parallel = Some(Times::median(times.iter().map(|(_, parallel)| *parallel)));
    }
}

fn differences(expected: &SequentialOutput, found: &Parallel) -> Vec<String> {
    match found {
        Ok(found) => lines(&braid::outputs(expected, found)),
        Err(error) if matches!(error.kind, BlockErrorKind::AccessList(_)) => {
            vec![error.to_string()]
        }
        Err(error) => vec![format!("expected success, found the error \"{error}\"")],
    }
}

fn lines(differences: &impl ToString) -> Vec<String> {
    differences.to_string().lines().map(str::to_owned).collect()
}
