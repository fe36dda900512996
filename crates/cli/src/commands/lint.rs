//! `braid lint`: contract functions that conflict.

use super::{
    explain::{Unusable, record, unexpected},
    json::{write_error, write_line},
    names::{Known, NamesArgs},
    page::write,
};
use crate::{
    inputs,
    lint::{Finding, Lint, Subject, sarif, words},
};
use alloy_primitives::{Address, KECCAK256_EMPTY};
use braid_blocks::block_file::BlockFile;
use braid_terminal::{End, Progress, Stop, counted, print_error};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid lint block.json.zst                        pairs of functions, and the slot at which they conflict
  braid lint --layout out.json --abi out.json blocks/    the same by name; out.json: solc --combined-json
                                                   abi,storage-layout,bin-runtime, or an artifact of forge
  braid lint --layout ADDRESS=layout.json block.json    forge inspect Token storageLayout --json
  braid lint --source-map out.json --root contracts blocks/   with the lines of Solidity
  braid lint --contract ADDRESS --fail-on conflict --sarif lint.sarif blocks/
  braid fetch --rpc http://localhost:8545 --block 7 --out - | braid lint -    of a local node

Exit code: 0; 1 if a block's result differs from its header or file, or, with --fail-on conflict,
if there is a conflict; 2 if a file cannot be used, a block is invalid, or no transaction accesses
a --contract.";

/// List contract functions that conflict, and the variables at which they conflict
///
/// Records what each transaction of a block reads and writes, and compares all pairs of
/// transactions of different senders. Two transactions conflict if one of them changes what the
/// other reads or changes. A conflict is named by the called functions of the contract and by the
/// variable: a slot or, with --layout, its name. A finding groups the conflicts at variables of one
/// kind of a contract. docs/LINT.md has details and a CI job. Without
/// arguments, it checks a generated demo chain.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LintArgs {
    /// Block files (.json, .json.gz, .json.zst), folders of them, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// Only check variables of this contract; may be repeated
    #[arg(long = "contract", value_name = "ADDRESS")]
    contracts: Vec<Address>,
    #[command(flatten)]
    names: NamesArgs,
    /// Also write the findings as SARIF 2.1.0; - for standard output
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Findings that cause exit code 1
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    fail_on: FailOn,
    /// Number of findings in the table
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Print one JSON object per line: one for each finding, and the totals last; docs/LINT.md lists
    /// the fields
    #[arg(long)]
    json: bool,
}

/// Findings that cause exit code 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Never fail because of findings
    #[default]
    Never,
    /// Any conflict
    Conflict,
}

/// Checks every requested block.
pub(super) fn lint(args: &LintArgs) -> Result<End, Stop> {
    let is_stream = args.sarif.as_deref() == Some("-".as_ref());
    if args.json && is_stream {
        let why = "only one of --json and --sarif - can use standard output; name a file";
        return Err(Stop::Message(why.to_owned()));
    }
    let mut known = args.names.read()?;
    let inputs = inputs::expand(&args.paths).map_err(|error| Stop::Message(error.to_string()))?;
    let mut lint = Lint::new(args.contracts.iter().copied());
    let (end, unusable) = gather(args, &mut known, &mut lint, inputs)?;
    let looked_at @ (blocks, transactions) = lint.looked_at();
    let untouched: Vec<Address> = lint.untouched().copied().collect();
    let findings = lint.finish();
    if args.json {
        for finding in &findings {
            write_line(finding)?;
        }
        write_line(&json!({
            "total": true,
            "blocks": blocks,
            "txs": transactions,
            "findings": findings.len(),
            "conflicts": conflicts(&findings),
            "unusable": unusable,
        }))?;
    }
    if blocks == 0 {
        // A SARIF log without results would close the findings of earlier runs.
        return Ok(end);
    }
    if !args.json && !is_stream {
        print(args, &findings, looked_at)?;
    }
    if let Some(path) = &args.sarif {
        let folder = std::env::current_dir()?;
        let log = serde_json::to_vec_pretty(&sarif(&findings, &folder)).map_err(io::Error::from)?;
        write("--sarif", path, &log)?;
    }
    known.warn()?;
    for contract in &untouched {
        print_error(&format!("no transaction accesses {contract}; check --contract"));
    }
    let fails = args.fail_on == FailOn::Conflict && !findings.is_empty();
    Ok(match (fails, &untouched[..]) {
        (true, _) => End::Mismatch,
        (false, []) => end,
        (false, _) => end.max(End::BadInput),
    })
}

/// Checks all inputs. Returns the exit code, and the number of unusable inputs.
fn gather(
    args: &LintArgs,
    known: &mut Known,
    lint: &mut Lint,
    inputs: Vec<inputs::Input>,
) -> Result<(End, usize), Stop> {
    let mut progress = Progress::new(inputs.len());
    let (mut end, mut unusable) = (End::Right, 0);
    for input in inputs {
        let name = input.name();
        progress.begin(&name);
        let looked = look(known, lint, input);
        progress.end();
        let (code, file, why) = match looked {
            Ok(None) => continue,
            Ok(Some(wrong)) => (End::Mismatch, name, wrong),
            Err(error) => {
                unusable += 1;
                (End::BadInput, error.file().to_owned(), error.to_string())
            }
        };
        end = end.max(code);
        progress.aside(|| {
            if args.json {
                return write_error(&file, &why);
            }
            match code {
                End::Mismatch => print_error(&format!("{file}: {}", unexpected(&file, &why))),
                _ => print_error(&why),
            }
            Ok(())
        })?;
    }
    Ok((end, unusable))
}

/// Returns the number of conflicts in `findings`.
fn conflicts(findings: &[Finding]) -> usize {
    findings.iter().map(|it| it.conflicts.len()).sum()
}

/// Checks a block. Returns the first difference from its file, if there is one.
fn look(
    known: &mut Known,
    lint: &mut Lint,
    input: inputs::Input,
) -> Result<Option<String>, Unusable> {
    let name = input.name();
    let file = input.load()?;
    let (mut recording, wrong) = record(&name, &file, 0)?;
    known.name(&file, &mut recording);
    lint.add(&Subject {
        file: &inputs::short(&name),
        path: &name,
        recording: &recording,
        contracts: &contracts(&file),
        beneficiary: file.block.header.inner.beneficiary,
    });
    Ok(wrong)
}

/// Returns the accounts that have code before the block.
fn contracts(file: &BlockFile) -> BTreeSet<Address> {
    let accounts = file.pre_state.iter();
    let with_code = accounts
        .filter(|(_, account)| account.code_hash.is_some_and(|hash| hash != KECCAK256_EMPTY));
    with_code.map(|(address, _)| *address).collect()
}

fn print(
    args: &LintArgs,
    findings: &[Finding],
    (blocks, transactions): (usize, usize),
) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    if findings.is_empty() {
        let whose = if args.contracts.is_empty() { "" } else { " at the contracts of --contract" };
        writeln!(
            out,
            "No transactions of different senders conflict{whose} ({} in {}).",
            counted(transactions, "transaction"),
            counted(blocks, "block")
        )?;
        return out.flush();
    }
    writeln!(
        out,
        "{} with {} in {} of {}, most frequent first",
        counted(findings.len(), "finding"),
        counted(conflicts(findings), "conflict"),
        counted(transactions, "transaction"),
        counted(blocks, "block")
    )?;
    write!(out, "{}", words::table(findings, args.top))?;
    let others = findings.len().saturating_sub(args.top);
    if others > 0 {
        writeln!(out, "{others} more: --top {} lists all.", findings.len())?;
    }
    out.flush()
}
