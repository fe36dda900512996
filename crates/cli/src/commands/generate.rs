//! `braid gen`: writes a generated block.

use braid_blocks::{
    block_file::{BlockFile, STANDARD_STREAM},
    workload::{self, Workload, WorkloadSpec},
};
use braid_terminal::{End, Stop, counted, working};
use clap::Args;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  braid gen --workload transfers --txs 1000 --out block.json.zst
  braid gen --workload erc20 --txs 5000 --hot 20 --seed 7 --out hot.json.gz
  braid gen --workload dex --txs 500 --out - | braid run -";

/// Generate a block with the state it needs, as a block file
///
/// The same arguments give the same bytes on every machine. The header is filled in from a
/// sequential execution.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct GenerateArgs {
    /// Kind of transactions
    #[arg(long, value_enum)]
    workload: Workload,
    /// Number of transactions
    #[arg(long, value_name = "N", default_value_t = 1000)]
    txs: u32,
    /// Percent of the transactions that use one hot recipient or pool
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    hot: u8,
    /// Seed of the block
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Leave the signatures blank: much faster, but run --check-signatures rejects the file
    #[arg(long)]
    no_signatures: bool,
    /// File to write: .json, .json.gz, .json.zst, or - for JSON on standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Generates and writes the requested block.
pub(super) fn generate(args: &GenerateArgs) -> Result<End, Stop> {
    let is_stream = args.out == Path::new(STANDARD_STREAM);
    if !is_stream {
        BlockFile::check_name(&args.out).map_err(|error| Stop::Message(error.to_string()))?;
    }
    let mut spec = WorkloadSpec::new(args.workload, args.txs, args.hot, args.seed);
    if args.no_signatures {
        spec = spec.unsigned();
    }
    let what = format!("generating {} transactions", args.txs);
    let generated = working(&what, || workload::generate(&spec));
    let file = generated.map_err(|error| Stop::Message(error.to_string()))?;
    if is_stream {
        let out = io::BufWriter::new(io::stdout().lock());
        let written = file.write_json(out).and_then(|mut out| Ok(out.flush()?));
        return match written {
            Ok(()) => Ok(End::Right),
            Err(braid_blocks::block_file::BlockFileErrorKind::Io(error)) => {
                Err(Stop::Output(error))
            }
            Err(error) => Err(Stop::Message(error.to_string())),
        };
    }
    let what = format!("writing {}", args.out.display());
    working(&what, || file.write(&args.out)).map_err(|error| Stop::Message(error.to_string()))?;
    writeln!(
        io::stdout().lock(),
        "{}: {}, {} gas",
        args.out.display(),
        counted(args.txs as usize, "transaction"),
        file.block.header.inner.gas_used
    )?;
    Ok(End::Right)
}
