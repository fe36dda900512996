//! `braid-lab statetest --amplify`.

use super::{
    Place, Suite, run_all,
    settings::{Settings, start},
    statetest::words,
    tally::Tally,
};
use crate::suite::{Kind, Verdict, state_test::Test};
use braid_evm::{Executor, Mode};
use braid_terminal::{End, Stop};
use serde::Serialize;
use serde_json::value::RawValue;
use std::path::PathBuf;

/// Runs `orders` blocks for each file and fork. With `declared`, their transactions declare their
/// accesses.
pub(super) fn amplify(
    paths: &[PathBuf],
    settings: &Settings,
    orders: u64,
    declared: bool,
) -> Result<End, Stop> {
    let executor = |lists| start(settings.config(Mode::Build, lists));
    let executors = [executor(false)?, executor(true)?];
    run_all(&mut Amplifier { executors, settings, orders, declared }, paths, settings)?.end()
}

struct Amplifier<'a> {
    /// Executors for even and odd orders; one of them computes access lists, which are compared
    /// with the oracle's.
    executors: [Executor; 2],
    settings: &'a Settings,
    orders: u64,
    declared: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    file: &'a str,
    test: &'a str,
    fork: &'a str,
    seed: u64,
    txs: usize,
    left_out: usize,
    pass: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_msg: &'a str,
    incarnations: u64,
    aborts: u64,
    speculative: u64,
}

impl Suite for Amplifier<'_> {
    const KIND: Kind = Kind::State;

    fn run(&mut self, place: Place<'_>, test: &RawValue, tally: &mut Tally) -> Result<(), Stop> {
        let Place { file, name } = place;
        let test = Test::parse(name, test.get()).map_err(|why| {
            Stop::Message(format!("{file}: {name}: expected a state test: {why}"))
        })?;
        let mut blocks = Vec::new();
        for order in 0..self.orders {
            let seed = self.settings.seed.wrapping_add(order);
            let wanted = |fork: &str| self.settings.wants_fork(fork);
            let [without, listing] = &mut self.executors;
            let executor = if seed % 2 == 0 { without } else { listing };
            test.amplify(executor, seed, self.declared, &wanted, &mut |block| blocks.push(block));
        }
        for block in blocks {
            let (status, error_msg) = words(&block.verdict);
            let title = format!("{file} {name} {} seed {}", block.fork, block.seed);
            let line = Line {
                file,
                test: name,
                fork: &block.fork,
                seed: block.seed,
                txs: block.transactions,
                left_out: block.left_out,
                pass: block.verdict == Verdict::Passed,
                status,
                error_msg,
                incarnations: block.stats.incarnations,
                aborts: block.stats.aborts,
                speculative: block.stats.speculative_commits,
            };
            tally.add(&title, &block.verdict, &line)?;
            tally.count("transactions", block.transactions as u64);
            tally.count("transactions left out", block.left_out as u64);
            tally.count("runs", block.stats.incarnations);
            tally.count("runs aborted", block.stats.aborts);
            tally.count("speculative results", block.stats.speculative_commits);
            tally.count("contiguous batches", block.stats.contiguous_batches);
            tally.count("blocks with conflicts", u64::from(block.stats.aborts > 0));
        }
        Ok(())
    }
}
