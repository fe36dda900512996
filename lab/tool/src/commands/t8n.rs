//! `braid-lab t8n`: a stateless transition between files or streams.

use crate::t8n::{Failure, FailureKind, Input, Options, fork, to_json, transition};
use braid_blocks::block_file::missing_folder;
use braid_evm::Config;
use braid_terminal::{End, PolicyArg, Stop};
use clap::Args;
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::{self, Read, Write},
    num::NonZeroU16,
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  braid-lab t8n --state.fork Prague --input.alloc alloc.json --input.env env.json --input.txs txs.json
  braid-lab t8n --state.fork Cancun --input.alloc stdin --input.env stdin --input.txs stdin \\
                --output.alloc stdout --output.result stdout --output.body stdout < input.json

Exit code: 0 with a result, also if transactions were rejected; 2 if execution failed; 3 for an
unknown fork or an environment that lacks something; 4 if BLOCKHASH asked for a hash that was not
given; 10 for input of the wrong form; 11 for files.";

/// Name of standard input in place of a file.
const STDIN: &str = "stdin";
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// Apply transactions to a state, as geth's `evm t8n` does
///
/// Reads a state, an environment and transactions, signed or with `secretKey`. Writes the state
/// after them and the result: roots, receipts, rejected transactions, requests, gas.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub(super) struct T8nArgs {
    /// File with the state before, or stdin
    #[arg(long = "input.alloc", value_name = "FILE", default_value = "alloc.json")]
    input_alloc: String,
    /// File with the environment, or stdin
    #[arg(long = "input.env", value_name = "FILE", default_value = "env.json")]
    input_env: String,
    /// File with the transactions, or stdin; RLP in hex if the name ends in .rlp
    #[arg(long = "input.txs", value_name = "FILE", default_value = "txs.json")]
    input_txs: String,
    /// File with blob parameters that replace the fork's, or stdin
    #[arg(long = "input.blobParams", value_name = "FILE")]
    input_blob_params: Option<String>,
    /// Folder for output files
    #[arg(long = "output.basedir", value_name = "DIR")]
    output_basedir: Option<PathBuf>,
    /// Output for the state after: a file, stdout or stderr; none if empty
    #[arg(long = "output.alloc", value_name = "FILE", default_value = "alloc.json")]
    output_alloc: String,
    /// Output for the result
    #[arg(long = "output.result", value_name = "FILE", default_value = "result.json")]
    output_result: String,
    /// Output for the RLP of the included transactions
    #[arg(long = "output.body", value_name = "FILE", default_value = "")]
    output_body: String,
    /// Name of the fork, or of a transition
    #[arg(long = "state.fork", value_name = "NAME", default_value = "Osaka")]
    fork: String,
    /// Chain id
    #[arg(long = "state.chainid", value_name = "ID", default_value_t = 1)]
    chain_id: u64,
    /// Block reward before the merge, in wei; -1 for none
    #[arg(
        long = "state.reward",
        value_name = "WEI",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    reward: i128,
    /// Run only the first transaction, without system contracts, rewards and withdrawals
    #[arg(long)]
    state_test: bool,
    /// Workers that execute transactions [default: one per core]
    #[arg(long, value_name = "N", value_parser = braid_terminal::workers_from)]
    workers: Option<NonZeroU16>,
    /// Which strategies the executor may use; results do not depend on it
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyArg,
    /// Ignored; accepted for compatibility with geth
    #[arg(long, value_name = "N", hide = true)]
    verbosity: Option<u8>,
}

fn long_help() -> String {
    format!("Forks: {}, and transitions between them.\n\n{EXAMPLES}", fork::names())
}

/// Reads the input, executes it and writes the output.
pub(super) fn t8n(args: &T8nArgs) -> Result<End, Stop> {
    run(args)
        .map_err(|failure| Stop::WithCode { message: failure.to_string(), code: failure.code() })
}

fn run(args: &T8nArgs) -> Result<End, Failure> {
    let basedir = args.output_basedir.clone().unwrap_or_default();
    if !basedir.as_os_str().is_empty() {
        fs::create_dir_all(&basedir).map_err(|error| failed(&basedir, &error))?;
    }
    let input = args.input()?;
    let mut config = Config::default();
    if let Some(workers) = args.workers {
        config.workers = workers;
    }
    config.policy = args.policy.policy();
    let options = Options {
        fork: args.fork.clone(),
        chain_id: args.chain_id,
        reward: args.reward,
        state_test: args.state_test,
        config,
    };
    let done = transition(&input, &options)?;
    let outputs = [
        (&args.output_alloc, "alloc", to_json(&done.alloc)),
        (&args.output_result, "result", done.result),
        (&args.output_body, "body", json!(done.body)),
    ];
    let (mut stdout, mut stderr) = (Map::new(), Map::new());
    for (target, name, value) in outputs {
        match target.as_str() {
            "" => {}
            STDOUT => drop(stdout.insert(name.to_owned(), value)),
            STDERR => drop(stderr.insert(name.to_owned(), value)),
            file => write_file(&basedir.join(file), &value)?,
        }
    }
    print(io::stdout().lock(), stdout)?;
    print(io::stderr().lock(), stderr)?;
    Ok(End::Right)
}

impl T8nArgs {
    fn input(&self) -> Result<Input, Failure> {
        let names = [&self.input_alloc, &self.input_env, &self.input_txs];
        let from_stdin = |name: &String| name == STDIN;
        let mut together = Value::Null;
        let any = names.into_iter().chain(&self.input_blob_params).any(from_stdin);
        if any {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map_err(|error| failed(STDIN, &error))?;
            together = parse(STDIN, &text)?;
            if !together.is_object() {
                return Err(Failure::new(FailureKind::Json, "stdin: expected an object"));
            }
        }
        let mut take = |name: &str, field: &str| match name {
            STDIN => Ok(together.get_mut(field).map(Value::take).unwrap_or_default()),
            file => read_file(file),
        };
        let mut txs = take(&self.input_txs, "txs")?;
        if self.input_txs == STDIN
            && let Ok(rlp @ Value::String(_)) = take(STDIN, "txsRlp")
        {
            txs = rlp;
        }
        let blob_params = match &self.input_blob_params {
            Some(name) => Some(take(name, "blobParams")?),
            None => None,
        };
        Ok(Input {
            alloc: take(&self.input_alloc, "alloc")?,
            env: take(&self.input_env, "env")?,
            txs,
            blob_params,
        })
    }
}

fn read_file(name: &str) -> Result<Value, Failure> {
    parse(name, &fs::read_to_string(name).map_err(|error| failed(name, &error))?)
}

fn parse(name: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::new(FailureKind::Json, format!("{name}: {error}")))
}

fn write_file(path: &Path, value: &Value) -> Result<(), Failure> {
    fs::write(path, format!("{value:#}")).map_err(|error| match missing_folder(path) {
        Some(folder) => {
            let (path, folder) = (path.display(), folder.display());
            Failure::new(FailureKind::Io, format!("{path}: the folder {folder} is missing"))
        }
        None => failed(path, &error),
    })
}

fn print(mut out: impl Write, object: Map<String, Value>) -> Result<(), Failure> {
    if object.is_empty() {
        return Ok(());
    }
    match writeln!(out, "{:#}", Value::Object(object)).and_then(|()| out.flush()) {
        // The reader closed the pipe, which is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| failed("a standard stream", &error)),
    }
}

fn failed(name: impl AsRef<Path>, error: &io::Error) -> Failure {
    Failure::new(FailureKind::Io, format!("{}: {error}", name.as_ref().display()))
}
