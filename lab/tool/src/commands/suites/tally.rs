//! Counts and prints the results of tests.

use super::settings::Settings;
use crate::suite::{Kind, Verdict};
use anstyle::{AnsiColor, Style};
use braid_terminal::{End, Stop};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Instant,
};

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();

/// Counters of one call.
#[derive(Debug)]
pub(super) struct Tally {
    json: bool,
    started: Instant,
    pub(super) passed: usize,
    pub(super) failed: usize,
    /// Number of tests that were not run, by reason.
    skipped: BTreeMap<String, usize>,
    /// Number of tests of another kind in the same files.
    pub(super) passed_over: usize,
    /// Further counters, by name.
    counts: BTreeMap<&'static str, u64>,
    /// Number of invalid blocks that were not run, by the name of their exception.
    out_of_scope: BTreeMap<String, usize>,
}

/// The last line of the JSON output.
#[derive(Serialize)]
struct Total<'a> {
    total: bool,
    ok: bool,
    passed: usize,
    failed: usize,
    skipped: usize,
    skipped_why: &'a BTreeMap<String, usize>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    out_of_scope: &'a BTreeMap<String, usize>,
    other_kind: usize,
    seconds: f64,
    #[serde(flatten)]
    counts: &'a BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            json: settings.json,
            started: Instant::now(),
            passed: 0,
            failed: 0,
            skipped: BTreeMap::new(),
            passed_over: 0,
            counts: BTreeMap::new(),
            out_of_scope: BTreeMap::new(),
        }
    }

    /// Counts a test, and prints it: in JSON always, in text if it failed.
    pub(super) fn add(
        &mut self,
        title: &str,
        verdict: &Verdict,
        line: &impl Serialize,
    ) -> Result<(), Stop> {
        match verdict {
            Verdict::Passed => self.passed = self.passed.saturating_add(1),
            Verdict::Failed(why) => {
                self.failed = self.failed.saturating_add(1);
                if !self.json {
                    self.say(&format!("{RED}FAILED{RED:#} {title}: {why}"))?;
                }
            }
            Verdict::Skipped(why) => {
                let count = self.skipped.entry(why.clone()).or_default();
                *count = count.saturating_add(1);
            }
        }
        if self.json { write_line(line) } else { Ok(()) }
    }

    pub(super) fn count(&mut self, what: &'static str, more: u64) {
        let count = self.counts.entry(what).or_default();
        *count = count.saturating_add(more);
    }

    pub(super) fn add_out_of_scope(&mut self, name: &str, more: usize) {
        let count = self.out_of_scope.entry(name.to_owned()).or_default();
        *count = count.saturating_add(more);
    }

    pub(super) fn pass_over(&mut self, _kind: Kind) {
        self.passed_over = self.passed_over.saturating_add(1);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.passed == 0 && self.failed == 0 && self.skipped.is_empty()
    }

    pub(super) fn say(&self, line: &str) -> Result<(), Stop> {
        Ok(writeln!(anstream::stdout().lock(), "{line}")?)
    }

    /// Prints the total and returns the exit code.
    pub(super) fn end(&self) -> Result<End, Stop> {
        let skipped = self.skipped.values().sum();
        let seconds = self.started.elapsed().as_secs_f64();
        let end = if self.failed > 0 { End::Mismatch } else { End::Right };
        if self.json {
            write_line(&Total {
                total: true,
                ok: self.failed == 0,
                passed: self.passed,
                failed: self.failed,
                skipped,
                skipped_why: &self.skipped,
                out_of_scope: &self.out_of_scope,
                other_kind: self.passed_over,
                seconds,
                counts: &self.counts,
            })?;
            return Ok(end);
        }
        let failed = self.failed;
        let style = if failed > 0 { RED } else { GREEN };
        let passed = self.passed;
        self.say(&format!(
            "{style}{passed} passed, {failed} failed{style:#}, {skipped} skipped, in {seconds:.1} s"
        ))?;
        for (why, count) in &self.skipped {
            self.say(&format!("  skipped {count}: {why}"))?;
        }
        for (name, count) in &self.out_of_scope {
            self.say(&format!("  not executed, {count} invalid blocks: {name}"))?;
        }
        for (what, count) in &self.counts {
            self.say(&format!("  {what}: {count}"))?;
        }
        Ok(end)
    }
}

fn write_line(line: &impl Serialize) -> Result<(), Stop> {
    let mut text = serde_json::to_vec(line).map_err(io::Error::from)?;
    text.push(b'\n');
    Ok(io::stdout().lock().write_all(&text)?)
}
