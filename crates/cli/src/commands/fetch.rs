//! `braid fetch`: records a block of a node.

use crate::inputs;
use crate::{
    access_list,
    fetch::{self, Client, FetchError, Http, Patience, Recording, Tracer, Wanted},
};
use braid_blocks::{
    block_file::{BlockFile, BlockFileErrorKind, STANDARD_STREAM},
    fork,
};
use braid_terminal::{End, Progress, Stop, print_error};
use clap::{Args, ValueEnum};
use revm::primitives::hardfork::SpecId;
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

const EXAMPLES: &str = "\
Examples:
  braid fetch --rpc http://127.0.0.1:8545 --block latest --out latest.json.zst
  braid fetch --rpc https://node.example/KEY --block 24628607 --out 24628607.json.zst
  braid fetch --rpc http://127.0.0.1:8545 --block latest --bal --out latest.json.zst
  braid fetch --rpc http://127.0.0.1:8545 --block 7 --fork prague --out - | braid run -

Exit code: 0 if the block was recorded; 1 if executing the recording does not give the node's
result, or the node contradicts itself; 2 if the node cannot be used. Nothing is written unless
the code is 0. https:// needs a build with --features https.";

/// Record a block of a node, with the state it reads, as a block file
///
/// Requests the block, its receipts and the output of the prestate tracer, executes the block
/// sequentially, requests all other state that the execution reads (system contracts, withdrawal
/// recipients, block hashes), and executes the finished file once more. Gas, receipts, logs and
/// requests must match the header and the node's receipts, and every changed account and slot must
/// match the node's state after the block. The node must have the state of the parent block.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FetchArgs {
    /// URL of the node's JSON-RPC interface, http or https
    #[arg(long, value_name = "URL")]
    rpc: String,
    /// Number of the block, decimal or 0x..., or latest
    #[arg(long, value_name = "N|latest", value_parser = block_number)]
    block: Number,
    /// File to write: .json, .json.gz, .json.zst, or - for JSON on standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Also record the block's access list (EIP-7928), as NAME.bal.rlp in the same folder, for run
    /// --bal
    #[arg(long)]
    bal: bool,
    /// Fork whose rules the block follows [default: according to chain and header]
    #[arg(long, value_name = "NAME", value_parser = fork_name)]
    fork: Option<SpecId>,
    /// Whether to use the node's prestate tracer, which saves a call for each account and slot
    #[arg(long, value_enum, default_value_t)]
    tracer: TracerArg,
    /// Do not compare the state after the block, which takes a call for each changed account
    #[arg(long)]
    skip_state_check: bool,
    /// Timeout of a call, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Attempts per call before giving up, with growing pauses
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=20))]
    attempts: u32,
    /// Print one JSON object that describes the recording or the error
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum TracerArg {
    /// If the node supports it
    #[default]
    Auto,
    /// Fail if the node does not support it
    Always,
    /// Read everything with one call each
    Never,
}

/// A block number; `None` for the latest block.
#[derive(Clone, Copy, Debug)]
struct Number(Option<u64>);

fn block_number(text: &str) -> Result<Number, String> {
    if text == "latest" {
        return Ok(Number(None));
    }
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let wrong = |_| "expected a number like 24628607 or 0x177cb7f, or latest".to_owned();
    number.map(|number| Number(Some(number))).map_err(wrong)
}

fn fork_name(text: &str) -> Result<SpecId, String> {
    fork::parse(text).ok_or_else(|| format!("expected one of {}", fork::known_names()))
}

impl FetchArgs {
    fn wanted(&self) -> Wanted {
        Wanted {
            number: self.block.0,
            fork: self.fork,
            tracer: match self.tracer {
                TracerArg::Auto => Tracer::Auto,
                TracerArg::Always => Tracer::Always,
                TracerArg::Never => Tracer::Never,
            },
            check_state: !self.skip_state_check,
            access_list: self.bal,
        }
    }

    /// Returns the path of the access list, in the folder of the block file.
    fn list_file(&self) -> PathBuf {
        let block = inputs::short(&self.out.to_string_lossy());
        self.out.with_file_name(format!("{block}{}", access_list::SUFFIX))
    }

    /// Returns whether the block file goes to standard output, which then carries nothing else.
    fn to_stream(&self) -> bool {
        self.out == Path::new(STANDARD_STREAM)
    }
}

/// Records the requested block and writes it.
pub(super) fn fetch(args: &FetchArgs) -> Result<End, Stop> {
    if args.json && args.to_stream() {
        let why = "--json and --out - both use standard output: name a file with --out";
        return Err(Stop::Message(why.to_owned()));
    }
    if args.bal && args.to_stream() {
        let why = "--bal writes a file next to the block's: name the block's with --out";
        return Err(Stop::Message(why.to_owned()));
    }
    if !args.to_stream() {
        let named = BlockFile::check_name(&args.out);
        named.map_err(|error| Stop::Message(error.to_string()))?;
    }
    let transport = Http::new(&args.rpc, Duration::from_secs(args.timeout))
        .map_err(|error| Stop::Message(format!("--rpc: {error}")))?;
    let patience = Patience { attempts: args.attempts, ..Patience::default() };
    let progress = RefCell::new(Progress::open_ended());
    let client = Client::new(transport, patience).watched(move |method| {
        let mut progress = progress.borrow_mut();
        progress.begin(method);
        progress.end();
    });
    let recorded = fetch::fetch(&client, &args.wanted());
    // Removes the progress bar.
    drop(client);
    match recorded {
        Ok(recording) => {
            write(args, &recording)?;
            Ok(End::Right)
        }
        Err(error) => {
            if args.json {
                let line = json!({
                    "ok": false, "error": error.to_string(), "method": error.method(),
                });
                writeln!(io::stdout().lock(), "{line}")?;
            } else {
                print_error(&error);
            }
            Ok(end_of(&error))
        }
    }
}

/// Returns the exit code of an error.
fn end_of(error: &FetchError) -> End {
    match error {
        FetchError::Mismatch(_) | FetchError::Execution(_) | FetchError::Inconsistent { .. } => {
            End::Mismatch
        }
        _ => End::BadInput,
    }
}

fn write(args: &FetchArgs, recording: &Recording) -> Result<(), Stop> {
    let file = &recording.file;
    if args.to_stream() {
        for note in &recording.notes {
            writeln!(anstream::stderr().lock(), "note: {note}")?;
        }
        let out = io::BufWriter::new(io::stdout().lock());
        return match file.write_json(out).and_then(|mut out| Ok(out.flush()?)) {
            Ok(()) => Ok(()),
            Err(BlockFileErrorKind::Io(error)) => Err(Stop::Output(error)),
            Err(error) => Err(Stop::Message(error.to_string())),
        };
    }
    file.write(&args.out).map_err(|error| Stop::Message(error.to_string()))?;
    if let Some(list) = &recording.access_list {
        let written = access_list::write(&args.list_file(), list, true);
        written.map_err(|error| Stop::Message(error.to_string()))?;
    }
    let mut out = io::stdout().lock();
    let said = summary(args, recording);
    if args.json {
        writeln!(out, "{said}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{}: block {} ({}), {} transactions, {} gas, {} accounts, {} slots, {} calls",
        args.out.display(),
        said["block"],
        file.meta.fork,
        said["txs"],
        said["gas"],
        said["accounts"],
        said["slots"],
        recording.calls
    )?;
    for note in &recording.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

fn summary(args: &FetchArgs, recording: &Recording) -> Value {
    let file = &recording.file;
    let slots: usize = file.pre_state.values().map(|account| account.storage.len()).sum();
    json!({
        "ok": true,
        "file": args.out.display().to_string(),
        "block": file.block.header.inner.number,
        "chain_id": file.meta.chain_id,
        "fork": file.meta.fork,
        "txs": file.block.transactions.len(),
        "gas": file.block.header.inner.gas_used,
        "accounts": file.pre_state.len(),
        "slots": slots,
        "codes": file.codes.len(),
        "block_hashes": file.block_hashes.len(),
        "calls": recording.calls,
        "verified": file.meta.verified,
        "access_list": recording.access_list.as_ref().map(|_| args.list_file()),
        "notes": recording.notes,
    })
}
