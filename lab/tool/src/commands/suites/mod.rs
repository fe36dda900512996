//! `braid-lab statetest` and `braid-lab blocktest`: the official suites on the parallel executor.

mod amplify;
mod blocktest;
mod settings;
mod statetest;
mod tally;

pub(super) use blocktest::{BlockTestArgs, blocktest};
pub(super) use statetest::{StateTestArgs, statetest};

use crate::suite::{
    self, Kind,
    sources::{self, Document},
};
use braid_terminal::{Progress, Stop};
use serde_json::value::RawValue;
use settings::Settings;
use std::{ops::ControlFlow, path::PathBuf};
use tally::Tally;

/// Runs tests of one kind.
trait Suite {
    /// The kind of test that it runs.
    const KIND: Kind;

    /// Runs a test and adds the result to the tally.
    fn run(&mut self, place: Place<'_>, test: &RawValue, tally: &mut Tally) -> Result<(), Stop>;
}

/// Origin of a test.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    file: &'a str,
    name: &'a str,
}

/// Runs all tests of the suite's kind in `paths`.
fn run_all<S: Suite>(suite: &mut S, paths: &[PathBuf], settings: &Settings) -> Result<Tally, Stop> {
    let mut tally = Tally::new(settings);
    let mut progress = Progress::open_ended();
    for path in paths {
        if !settings.json {
            tally.say(&format!("Running tests in {} ...", path.display()))?;
        }
        let mut stopped = Ok(());
        let mut visit = |document: Document| -> ControlFlow<()> {
            if !settings.omit_progress {
                progress.begin(&document.name);
            }
            stopped = run_document(suite, &document, settings, &mut tally);
            progress.end();
            let failed = tally.failed > 0 && !settings.keep_going;
            if stopped.is_err() || failed {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let visited = sources::visit(path, &|name| settings.wants_file(name), &mut visit);
        stopped?;
        match visited {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(error) => return Err(Stop::Message(error.to_string())),
        }
    }
    drop(progress);
    if tally.is_empty() {
        return Err(Stop::Message(match tally.passed_over {
            0 => {
                "found no test; name a folder of tests, or leave out --filter, --fork and --sample"
                    .to_owned()
            }
            others => format!(
                "found no test of this kind, {others} of other kinds; run those with braid-lab statetest \
                 or braid-lab blocktest"
            ),
        }));
    }
    Ok(tally)
}

fn run_document<S: Suite>(
    suite: &mut S,
    document: &Document,
    settings: &Settings,
    tally: &mut Tally,
) -> Result<(), Stop> {
    let file = document.name.as_str();
    let tests = suite::tests_in(&document.json)
        .map_err(|error| Stop::Message(format!("{file}: expected JSON: {error}")))?;
    for (name, test) in &tests {
        if !settings.wants_test(file, name) {
            continue;
        }
        match suite::kind(test) {
            kind if kind == S::KIND => suite.run(Place { file, name }, test, tally)?,
            kind => tally.pass_over(kind),
        }
        if tally.failed > 0 && !settings.keep_going {
            break;
        }
    }
    Ok(())
}
