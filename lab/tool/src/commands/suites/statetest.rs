//! `braid-lab statetest`.

use super::{Place, Suite, amplify, run_all, settings::Settings, tally::Tally};
use crate::suite::{
    Kind, Verdict,
    state_test::{Case, Test},
};
use alloy_primitives::B256;
use braid_evm::{Executor, Mode};
use braid_terminal::{End, Stop};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  braid-lab statetest tests/GeneralStateTests
  braid-lab statetest --keep-going --json ethereum-tests.tar.gz | tail -1
  braid-lab statetest --workers 3 --policy speculative --fork Cancun tests.tar.gz
  braid-lab statetest --amplify 4 --sample 20 tests.tar.gz

Exit code: 0 if all tests pass, 1 if one fails, 2 if there is none or a file cannot be used.";

/// Run state tests in the format of ethereum/tests and execution-spec-tests
///
/// Each alternative of each file is one transaction in one block. State root and hash of the logs
/// are compared; an invalid transaction must be rejected for the reason that the test names.
/// Archives are read without unpacking; tests of other kinds are ignored.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::commands) struct StateTestArgs {
    /// JSON files, folders of them (searched recursively), archives (.tar, .tar.gz, .tgz)
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Instead, put all transactions of a file into blocks, in N seeded orders, and compare every
    /// result with plain revm
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    amplify: Option<u64>,
    /// Let the transactions of these blocks declare their accesses, some of them wrongly, and
    /// schedule by the declarations
    #[arg(long, requires = "amplify")]
    declared: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the requested tests.
pub(in crate::commands) fn statetest(args: &StateTestArgs) -> Result<End, Stop> {
    let settings = &args.settings;
    if let Some(orders) = args.amplify {
        return amplify::amplify(&args.paths, settings, orders, args.declared);
    }
    let executor = settings.executor(Mode::Validate, false)?;
    run_all(&mut StateTests { executor, settings }, &args.paths, settings)?.end()
}

struct StateTests<'a> {
    executor: Executor,
    settings: &'a Settings,
}

/// Result of one alternative in one fork. The field names are revme's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    file: &'a str,
    test: &'a str,
    fork: &'a str,
    d: usize,
    g: usize,
    v: usize,
    pass: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_msg: &'a str,
    state_root: Option<B256>,
    logs_root: Option<B256>,
    gas_used: u64,
}

/// Returns the name of a verdict, and its reason.
pub(super) fn words(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Passed => ("passed", ""),
        Verdict::Failed(why) => ("failed", why),
        Verdict::Skipped(why) => ("skipped", why),
    }
}

impl Suite for StateTests<'_> {
    const KIND: Kind = Kind::State;

    fn run(&mut self, place: Place<'_>, test: &RawValue, tally: &mut Tally) -> Result<(), Stop> {
        let Place { file, name } = place;
        let mut cases = Vec::new();
        match Test::parse(name, test.get()) {
            Ok(test) => {
                let wanted = |fork: &str| self.settings.wants_fork(fork);
                test.run(&mut self.executor, &wanted, &mut |case| cases.push(case));
            }
            Err(why) => {
                let verdict = Verdict::Failed(format!("expected a state test: {why}"));
                cases.push(Case::new("", Default::default(), verdict));
            }
        }
        for case in cases {
            let (status, error_msg) = words(&case.verdict);
            let (d, g, v) = (case.indexes.data, case.indexes.gas, case.indexes.value);
            let title = format!("{file} {name} {} d{d} g{g} v{v}", case.fork);
            let line = Line {
                file,
                test: name,
                fork: &case.fork,
                d,
                g,
                v,
                pass: case.verdict == Verdict::Passed,
                status,
                error_msg,
                state_root: case.state_root,
                logs_root: case.logs_hash,
                gas_used: case.gas_used,
            };
            tally.add(&title, &case.verdict, &line)?;
        }
        Ok(())
    }
}
