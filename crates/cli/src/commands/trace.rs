//! `braid trace`: traces one transaction of a block, in geth's formats.

use super::{explain::unexpected, json::write_error};
use crate::inputs;
use alloy_rpc_types_trace::geth::{CallFrame, DefaultFrame, PreStateFrame};
use braid_blocks::{
    block_file::STANDARD_STREAM,
    sequential::{Trace, Tracer},
    verify::checks::{Results, first_mismatch},
};
use braid_evm::{Block, BlockOutput, Config, Executor, TxIndex};
use braid_terminal::{End, Stop, print_error, workers_from, working};
use clap::{Args, ValueEnum};
use revm::context::result::ResultAndState;
use std::{
    io::{self, Write},
    num::NonZeroU16,
    path::PathBuf,
};

const EXAMPLES: &str = "\
Examples:
  braid trace --tx 3 block.json.zst                      its calls, one a line
  braid trace --tx 3 --tracer prestate block.json.zst    accounts and slots it loads, before it runs
  braid trace --tx 3 --tracer struct block.json.zst      its instructions
  braid trace --tx 3 --json block.json | jq .gasUsed     as geth's debug_traceTransaction prints it
  braid fetch --rpc URL --block 12345678 --out - | braid trace --tx 0 -

Exit code: 0; 1 if the block's result differs from its header or file; 2 if the file cannot be
used, the block is invalid or has no such transaction.";

/// Trace one transaction of a block
///
/// Executes the block on all workers, then runs the transaction again, alone, on the state before
/// it, with one of geth's tracers. The output equals that of a sequential run with the tracer.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TraceArgs {
    /// Block file (.json, .json.gz, .json.zst), or - for standard input
    #[arg(value_name = "FILE|-")]
    path: PathBuf,
    /// Index of the transaction, from 0
    #[arg(long, value_name = "INDEX")]
    tx: u32,
    /// Kind of trace
    #[arg(long, value_enum, default_value_t)]
    tracer: TracerArg,
    /// Workers that execute the block [default: one per core]
    #[arg(long, value_name = "N", value_parser = workers_from)]
    workers: Option<NonZeroU16>,
    /// Print geth's JSON; if there is no trace, one line with file, ok (false) and error
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum TracerArg {
    /// Calls, with gas, values, results and logs (geth's callTracer)
    #[default]
    Call,
    /// Accounts and slots that it loads, as they were before it (geth's prestateTracer)
    Prestate,
    /// Instructions, with the stack before each (geth's default tracer)
    Struct,
}

impl From<TracerArg> for Tracer {
    fn from(arg: TracerArg) -> Self {
        match arg {
            TracerArg::Call => Self::Call,
            TracerArg::Prestate => Self::Prestate,
            TracerArg::Struct => Self::Struct,
        }
    }
}

/// Traces the requested transaction.
pub(super) fn trace(args: &TraceArgs) -> Result<End, Stop> {
    let what = format!("transaction {} of {}", args.tx, args.path.display());
    let traced = working(&what, || trace_of(args));
    let (trace, wrong) = match traced {
        Err(Stop::Message(error)) if args.json => {
            write_error(&args.path.display().to_string(), &error)?;
            return Ok(End::BadInput);
        }
        traced => traced?,
    };
    let mut end = End::Right;
    if let Some(wrong) = wrong {
        let file = args.path.display().to_string();
        print_error(&format!("{file}: {}", unexpected(&file, &wrong)));
        end = End::Mismatch;
    }
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &trace).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(end);
    }
    match &trace {
        Trace::Call(call) => print_call(&mut out, call, 0)?,
        Trace::Prestate(frame) => print_prestate(&mut out, frame)?,
        Trace::Struct(frame) => print_steps(&mut out, frame)?,
    }
    Ok(end)
}

/// Returns the trace, and the first difference between the block and its file, if there is one.
fn trace_of(args: &TraceArgs) -> Result<(Trace, Option<String>), Stop> {
    let stop = |error: &dyn core::fmt::Display| Stop::Message(error.to_string());
    if args.path.as_os_str() != STANDARD_STREAM && args.path.is_dir() {
        let folder = args.path.display();
        return Err(Stop::Message(format!("{folder} is a folder: name one block file in it")));
    }
    let input = inputs::Input::File(args.path.clone());
    let name = input.name();
    let file = input.load().map_err(|error| stop(&error))?;
    let to_block = file.to_block();
    let (block, database) = to_block.map_err(|error| stop(&format_args!("{name}: {error}")))?;
    let last = block.transactions.len().checked_sub(1);
    if last.is_none_or(|last| u32::try_from(last).is_ok_and(|last| args.tx > last)) {
        let has = last.map_or_else(
            || "no transactions".to_owned(),
            |last| format!("transactions 0 to {last}"),
        );
        return Err(stop(&format_args!("{name}: the block has {has}, not {}", args.tx)));
    }
    let mut config = Config::default();
    config.workers = args.workers.unwrap_or(config.workers);
    config.keep_changes = true;
    let executor = Executor::new(config);
    let mut executor = executor.map_err(|error| Stop::threads(config.workers, &error))?;
    let executed = executor.block(Block::from(&block)).database(database.clone()).execute();
    // A committed transaction can be traced even if a later one makes the block invalid.
    let (output, invalid) = match executed {
        Ok(output) => (output, None),
        Err(error) => {
            let why = error.to_string();
            (*error.committed, Some(why))
        }
    };
    let BlockOutput { gas_used, ref receipts, ref requests, .. } = output;
    let results = Results { gas_used, receipts, requests };
    let wrong = first_mismatch(&file, block.cfg.spec, results).filter(|_| invalid.is_none());
    let (tracer, tx) = (Tracer::from(args.tracer), TxIndex(args.tx));
    let source = braid_evm::Cloned(database);
    let again = output.replay(tx, &source, tracer.inspector());
    let again = again.map_err(|error| match &invalid {
        Some(why) => stop(&format_args!("{name}: {error}; the block is invalid: {why}")),
        None => stop(&format_args!("{name}: {error}")),
    })?;
    let ran = ResultAndState { result: again.result, state: again.state };
    let trace = tracer.trace(again.inspector, &ran, &again.before);
    let trace = trace.map_err(|error| stop(&format_args!("{name}: {error}")))?;
    Ok((trace, wrong))
}

/// Prints a line for each call, with nested calls indented.
fn print_call(out: &mut impl Write, call: &CallFrame, depth: usize) -> io::Result<()> {
    let to = call.to.map_or_else(|| "nothing".to_owned(), |to| to.to_string());
    write!(out, "{:indent$}{} {to}", "", call.typ, indent = 2 * depth)?;
    if let Some(value) = call.value.filter(|value| !value.is_zero()) {
        write!(out, ", {value} wei")?;
    }
    write!(out, ", {} bytes, {} gas", call.input.len(), call.gas_used)?;
    if !call.logs.is_empty() {
        write!(out, ", {} logs", call.logs.len())?;
    }
    match (&call.error, &call.revert_reason) {
        (Some(error), Some(reason)) => writeln!(out, ": {error}: {reason}")?,
        (Some(error), None) => writeln!(out, ": {error}")?,
        (None, _) => writeln!(out)?,
    }
    call.calls.iter().try_for_each(|call| print_call(out, call, depth + 1))
}

/// Prints each account, with its slots below it.
fn print_prestate(out: &mut impl Write, frame: &PreStateFrame) -> io::Result<()> {
    let PreStateFrame::Default(mode) = frame else { return Ok(()) };
    for (address, account) in &mode.0 {
        let balance = account.balance.unwrap_or_default();
        let (nonce, code) = (account.nonce.unwrap_or_default(), account.code.as_ref());
        let code = code.map_or(0, |code| code.len());
        writeln!(out, "{address}: {balance} wei, nonce {nonce}, {code} bytes of code")?;
        for (slot, value) in &account.storage {
            writeln!(out, "  {slot} = {value}")?;
        }
    }
    Ok(())
}

/// Prints a line for each instruction, with the top of the stack before it.
fn print_steps(out: &mut impl Write, frame: &DefaultFrame) -> io::Result<()> {
    for step in &frame.struct_logs {
        let top = step.stack.as_ref().and_then(|stack| stack.last());
        let top = top.map_or_else(|| "-".to_owned(), |top| format!("{top:#x}"));
        let indent = 2 * usize::try_from(step.depth.saturating_sub(1)).unwrap_or(0);
        writeln!(
            out,
            "{:indent$}{:>5} {:<14} gas {:>9} cost {:>6}  {top}",
            "", step.pc, step.op, step.gas, step.gas_cost
        )?;
    }
    let end = if frame.failed { "failed" } else { "succeeded" };
    writeln!(out, "it {end}: {} gas, {} instructions", frame.gas, frame.struct_logs.len())
}
