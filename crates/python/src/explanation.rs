//! Why a block does not run in parallel, as `braid explain --json` says it.

use crate::{
    failure::Failure,
    input::{Input, which},
    state::Subject,
    verification,
};
use braid_blocks::{
    timing::Timing,
    verify::{SegmentRecord, Setting, Timed, Verdict, checks},
};
use braid_cli::explain::{
    self, Axis, Location, Question, RecordError, Target, WhatIf, json::BlockFields,
};
use braid_evm::Executor;
use pyo3::{exceptions::PyValueError, prelude::*};
use serde::Serialize;
use std::{fmt, str::FromStr, time::Duration};

/// Question about a block.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    what_if: WhatIf,
    workers: usize,
    top: usize,
    rounds: u32,
    by_time: bool,
    pause: Duration,
}

/// The arguments as Python hands them over: (workers, top, rounds, by, without, sharded, pause).
type Arguments = (u8, usize, u32, String, Vec<String>, Vec<String>, f64);

fn parsed<T: FromStr<Err: fmt::Display>>(texts: &[String]) -> PyResult<Vec<T>> {
    let parse = |text: &String| {
        text.parse().map_err(|error: T::Err| PyValueError::new_err(error.to_string()))
    };
    texts.iter().map(parse).collect()
}

impl<'py> FromPyObject<'_, 'py> for Asked {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let (workers, top, rounds, by, without, sharded, pause): Arguments = object.extract()?;
        if !(1..=64).contains(&workers) {
            return Err(PyValueError::new_err(format!(
                "expected workers from 1 to 64, found {workers}"
            )));
        }
        let by_time = match by.as_str() {
            "gas" => false,
            "time" => true,
            other => {
                return Err(PyValueError::new_err(format!(
                    "expected by of gas, time, found {other:?}"
                )));
            }
        };
        let pause = Duration::try_from_secs_f64(pause).map_err(|error| {
            PyValueError::new_err(format!("expected a pause in seconds: {error}"))
        })?;
        let what_if =
            WhatIf { without: parsed::<Target>(&without)?, sharded: parsed::<Location>(&sharded)? };
        Ok(Self { what_if, workers: workers.into(), top, rounds, by_time, pause })
    }
}

#[derive(Serialize)]
struct BlockLine<'a> {
    file: &'a str,
    block: u64,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    workers: usize,
    /// Unit of the costs of conflicts.
    by: &'static str,
    #[serde(flatten)]
    fields: BlockFields,
    /// Null if nothing was measured.
    measured: Option<MeasuredFields>,
}

#[derive(Serialize)]
struct MeasuredFields {
    workers: u16,
    speedup: f64,
    seq_ms: f64,
    par_ms: f64,
    segments: Vec<SegmentRecord>,
}

/// Explains the block of `input`.
pub(crate) fn explain(
    executor: &mut Executor,
    input: &Input,
    name: &str,
    asked: &Asked,
    setting: Setting,
) -> Result<Vec<u8>, Failure> {
    let file = input.load(name)?;
    let subject = Subject::new(&file).map_err(|error| Failure::field(name, error))?;
    let (block, state) = (&subject.block, &subject.state);
    let recording = explain::record(block, state, asked.rounds).map_err(|error| {
        let transaction = match &error {
            RecordError::Transaction { index, .. } => Some(*index),
            RecordError::PreBlock(_) => None,
        };
        let (file, which) = (name.to_owned(), which(&file));
        match subject.first_missing() {
            Some(missing) => Failure::Unavailable { file, missing, transaction },
            None => Failure::Invalid { file, reason: error.to_string(), transaction, which },
        }
    })?;
    let compared = checks::of_file(&file, block, state);
    let mut error = compared.map_err(|error| Failure::sequential(name, which(&file), &error))?;
    let question = Question {
        what_if: asked.what_if.clone(),
        workers: asked.workers,
        also: vec![setting.workers.into()],
        axis: if asked.by_time && asked.rounds > 0 { Axis::Time } else { Axis::Gas },
        top: asked.top,
    };
    let explanation = explain::explain(&recording, &question);
    let mut measured = None;
    if asked.rounds > 0 {
        let timing = Timing { rounds: asked.rounds, pause: asked.pause };
        let report = verification::run(executor, &file, None, name, timing)?;
        let timed = report.measured.and_then(|measured| measured.timed);
        if let Verdict::Mismatch(differences) = &report.verdict {
            let first = differences.first().map_or("", String::as_str);
            error = error.or_else(|| Some(format!("Braid's result differs: {first}; see verify")));
        } else if let Some((timed, speedup)) = timed.zip(timed.as_ref().and_then(Timed::speedup)) {
            let Timed { sequential, parallel } = timed;
            measured = Some(MeasuredFields {
                workers: setting.workers,
                speedup,
                seq_ms: sequential.wall.as_secs_f64() * 1e3,
                par_ms: parallel.wall.as_secs_f64() * 1e3,
                segments: report.segments.iter().map(SegmentRecord::from).collect(),
            });
        }
    }
    let line = BlockLine {
        file: name,
        block: file.block.header.inner.number,
        ok: error.is_none(),
        error,
        workers: question.workers,
        by: match explanation.ordered_by(question.axis).0 {
            Axis::Gas => "gas",
            Axis::Time => "time_ns",
        },
        fields: BlockFields::from(&explanation),
        measured,
    };
    serde_json::to_vec(&line).map_err(|error| Failure::Internal(error.to_string()))
}
