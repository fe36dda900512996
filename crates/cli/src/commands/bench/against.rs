//! `braid bench --against`: comparison with an earlier measurement.

use super::report::{Conditions, ListsInUse};
use crate::{
    bench::{Change, FEWEST, Figures, Round, Verdict},
    commands::json::write_line,
};
use braid_terminal::{End, PROFILE, Stop};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// The fields of a line of the earlier measurement that are compared.
#[derive(Clone, Debug, Deserialize)]
struct Earlier {
    workload: String,
    workers: u16,
    profile: String,
    pause_us: u64,
    busy: u32,
    access_list: bool,
    #[serde(default)]
    access_list_hint: bool,
    #[serde(default)]
    makes_access_list: bool,
    txs: usize,
    gas: u64,
    #[serde(default)]
    seq_rounds_ms: Vec<f64>,
    #[serde(default)]
    par_rounds_ms: Vec<f64>,
}

/// The comparison of a block on one number of workers.
#[derive(Debug, Serialize)]
struct Line {
    /// File of the earlier measurement.
    against: PathBuf,
    workload: String,
    workers: u16,
    /// Braid's time relative to its earlier time, both in sequential time; null if they cannot be
    /// compared.
    factor: Option<f64>,
    /// Lower end of the 95 % confidence interval.
    low: Option<f64>,
    high: Option<f64>,
    /// `slower`, `faster`, `same` or `not_compared`.
    verdict: &'static str,
    /// Why the measurements cannot be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// An earlier measurement, and the comparisons with it so far.
#[derive(Debug)]
pub(super) struct Against {
    file: PathBuf,
    /// Fraction of its time by which a block may become slower.
    tolerance: f64,
    earlier: Vec<Earlier>,
    lines: Vec<Line>,
}

impl Against {
    /// Reads the earlier measurement; `tolerance` is in percent.
    pub(super) fn read(file: &Path, tolerance: f64) -> Result<Self, Stop> {
        let stop = |why: &dyn std::fmt::Display| {
            let shown = file.display();
            Stop::Message(format!("{shown}: {why}; make one with: braid bench --json > {shown}"))
        };
        let text = fs::read_to_string(file).map_err(|error| stop(&error))?;
        // The fields of a line may be in any order, and lines of means have no workload.
        let lines = text.lines().filter(|line| line.contains("\"workload\":"));
        let earlier: Result<Vec<Earlier>, _> = lines.map(serde_json::from_str).collect();
        let earlier = earlier.map_err(|error| stop(&error))?;
        if earlier.is_empty() {
            return Err(stop(&"it contains no measurement"));
        }
        let (file, tolerance) = (file.to_owned(), tolerance / 100.0);
        Ok(Self { file, tolerance, earlier, lines: Vec::new() })
    }

    /// Compares `figures`, which were measured under `conditions`.
    pub(super) fn compare(&mut self, conditions: Conditions, figures: &Figures) {
        let name = figures.workload.as_str();
        let mut earlier = self.earlier.iter().rev();
        let earlier =
            earlier.find(|it| (it.workload.as_str(), it.workers) == (name, figures.workers));
        let change = match earlier {
            None => Err("the earlier output does not contain it".to_owned()),
            Some(earlier) => change(earlier, conditions, figures),
        };
        let (change, why) = match change {
            Ok(change) => (Some(change), None),
            Err(why) => (None, Some(why)),
        };
        let verdict = match change.map(|change| change.verdict(self.tolerance)) {
            Some(Verdict::Slower) => "slower",
            Some(Verdict::Faster) => "faster",
            Some(Verdict::Same) => "same",
            None => "not_compared",
        };
        self.lines.push(Line {
            against: self.file.clone(),
            workload: name.to_owned(),
            workers: figures.workers,
            factor: change.map(|change| change.factor),
            low: change.map(|change| change.low),
            high: change.map(|change| change.high),
            verdict,
            why,
        });
    }

    /// Prints the comparisons. Returns [`End::Mismatch`] if a block became slower, and
    /// [`End::BadInput`] if nothing could be compared.
    pub(super) fn end(&self, json: bool) -> io::Result<End> {
        if json {
            self.lines.iter().try_for_each(write_line)?;
        } else {
            self.write(&mut anstream::stdout().lock())?;
        }
        let is_any = |verdict: &str| self.lines.iter().any(|line| line.verdict == verdict);
        Ok(if is_any("slower") {
            End::Mismatch
        } else if self.lines.iter().all(|line| line.verdict == "not_compared") {
            End::BadInput
        } else {
            End::Right
        })
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let tolerance = self.tolerance * 100.0;
        let shown = self.file.display();
        writeln!(
            out,
            "\nTime relative to {shown}, in units of sequential time, with the 95 % interval \
             over the rounds; changes of more than {tolerance} % count:"
        )?;
        for Line { workload, workers, factor, low, high, verdict, why, .. } in &self.lines {
            write!(out, "{workload:<24} {workers:>3} workers  ")?;
            match (factor, low, high, why) {
                (Some(factor), Some(low), Some(high), _) => {
                    writeln!(out, "{factor:.3} ({low:.3} to {high:.3})  {verdict}")?;
                }
                (.., Some(why)) => writeln!(out, "not compared: {why}")?,
                _ => writeln!(out, "not compared")?,
            }
        }
        out.flush()
    }
}

fn change(earlier: &Earlier, conditions: Conditions, figures: &Figures) -> Result<Change, String> {
    if (earlier.txs, earlier.gas) != (figures.transactions, figures.gas) {
        return Err(format!(
            "it was a different block, with {} transactions and {} gas",
            earlier.txs, earlier.gas
        ));
    }
    let Conditions { pause, busy, lists } = conditions;
    let then = (earlier.profile.as_str(), u128::from(earlier.pause_us), earlier.busy);
    let Earlier { access_list: given, access_list_hint: hint, makes_access_list: made, .. } =
        *earlier;
    if (then, ListsInUse { given, hint, made }) != ((PROFILE, pause.as_micros(), busy), lists) {
        return Err(format!(
            "conditions differ: profile {}, pause {} us, {} computing processes for each core, access list {given}, \
             as a hint {hint}, made {made} then",
            earlier.profile, earlier.pause_us, earlier.busy
        ));
    }
    let before: Vec<Round> = rounds(&earlier.seq_rounds_ms, &earlier.par_rounds_ms);
    let [sequential, parallel] =
        [&figures.sequential, &figures.parallel].map(super::report::rounds_ms);
    let now = rounds(&sequential, &parallel);
    Change::of(&before, &now).ok_or_else(|| {
        let (before, now) = (before.len(), now.len());
        format!(
            "{before} rounds then and {now} now; at least {FEWEST} are needed each time (--rounds)"
        )
    })
}

fn rounds(sequential: &[f64], parallel: &[f64]) -> Vec<Round> {
    sequential.iter().copied().zip(parallel.iter().copied()).collect()
}
