//! `braid-lab blocktest`.

use super::{Place, Suite, run_all, settings::Settings, statetest::words, tally::Tally};
use crate::suite::{
    Kind, Verdict,
    block_test::{Chain, Test},
};
use braid_evm::{Executor, Mode, Stats};
use braid_terminal::{End, Stop};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  braid-lab blocktest tests/BlockchainTests
  braid-lab blocktest --keep-going --json ethereum-tests.tar.gz | tail -1
  braid-lab blocktest --workers 3 --policy speculative --filter bcStateTests tests.tar.gz

Exit code: 0 if all tests pass, 1 if one fails, 2 if there is none or a file cannot be used.";

/// Run blockchain tests in the format of ethereum/tests and execution-spec-tests
///
/// Runs whole chains from the bytes of the blocks: senders are recovered, every block is executed
/// on its parent's state, and gas, receipts, logs, requests and state root are compared with its
/// header. A block's access list (EIP-7928) is compared with the header's hash, and the block is
/// executed with its list if the test has one. A block with an invalid execution must be rejected
/// for the reason that the test names. Blocks that violate rules of headers or uncles are counted
/// by the name of the exception.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::commands) struct BlockTestArgs {
    /// JSON files, folders of them (searched recursively), archives (.tar, .tar.gz, .tgz)
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the requested tests.
pub(in crate::commands) fn blocktest(args: &BlockTestArgs) -> Result<End, Stop> {
    let settings = &args.settings;
    let executor = settings.executor(Mode::Validate, true)?;
    run_all(&mut BlockTests { executor, settings }, &args.paths, settings)?.end()
}

struct BlockTests<'a> {
    executor: Executor,
    settings: &'a Settings,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    file: &'a str,
    test: &'a str,
    network: &'a str,
    pass: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_msg: &'a str,
    blocks: usize,
    refused: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    out_of_scope: &'a BTreeMap<String, usize>,
    txs: usize,
}

impl Suite for BlockTests<'_> {
    const KIND: Kind = Kind::Blocks;

    fn run(&mut self, place: Place<'_>, test: &RawValue, tally: &mut Tally) -> Result<(), Stop> {
        let Place { file, name } = place;
        let chain = match Test::parse(test.get()) {
            Ok(test) if !self.settings.wants_fork(test.network()) => return Ok(()),
            Ok(test) => test.run(&mut self.executor),
            Err(why) => Chain {
                network: String::new(),
                verdict: Verdict::Failed(format!("expected a blockchain test: {why}")),
                valid: 0,
                refused: 0,
                out_of_scope: BTreeMap::new(),
                transactions: 0,
                stats: Stats::default(),
            },
        };
        let (status, error_msg) = words(&chain.verdict);
        let line = Line {
            file,
            test: name,
            network: &chain.network,
            pass: chain.verdict == Verdict::Passed,
            status,
            error_msg,
            blocks: chain.valid,
            refused: chain.refused,
            out_of_scope: &chain.out_of_scope,
            txs: chain.transactions,
        };
        tally.add(&format!("{file} {name}"), &chain.verdict, &line)?;
        tally.count("valid blocks", chain.valid as u64);
        tally.count("blocks refused as they must be", chain.refused as u64);
        tally.count("transactions", chain.transactions as u64);
        for (exception, count) in &chain.out_of_scope {
            tally.add_out_of_scope(exception, *count);
        }
        Ok(())
    }
}
