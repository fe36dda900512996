//! `braid-lab bench offload`: the share of hashes and precompiles in blocks.

use crate::bench::offload::{Offload, Part, offload};
use alloy_primitives::Address;
use anstyle::Style;
use braid_blocks::statistics::quantiles;
use braid_cli::{
    commands::bench::{Item, items},
    profile,
};
use braid_terminal::{End, Progress, Stop, print_error};
use clap::Args;
use serde_json::{Value, json};
use std::io::{self, Write};

const EXAMPLES: &str = "\
Examples:
  braid-lab bench offload blocks/                  real blocks, the sum and each part
  braid-lab bench offload --each blocks/           a line for each block
  braid-lab bench offload --json blocks/ | jq 'select(.block == null)'

Exit code: 0; 2 if a block cannot be executed.";

/// Bound the speed-up from hardware that computes hashes and precompiles
///
/// Records every hash and every precompile call of a sequential run and times them alone. The limit
/// is the speed-up if they took no time, and neither did moving their inputs and results.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OffloadArgs {
    /// Block files, folders of them, or built-in workloads
    what: Vec<String>,
    /// Also print a line for each block
    #[arg(long)]
    each: bool,
    /// Rounds of each block; the shortest counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Transactions of each workload
    #[arg(long, value_name = "N")]
    txs: Option<u32>,
    /// Print one JSON object for each block, and one for all of them
    #[arg(long)]
    json: bool,
}

/// Names of the precompiles, from address 1 on.
const NAMES: [&str; 17] = [
    "ecrecover",
    "sha256",
    "ripemd160",
    "identity",
    "modexp",
    "bn254 add",
    "bn254 mul",
    "bn254 pairing",
    "blake2f",
    "kzg point evaluation",
    "bls12 g1 add",
    "bls12 g1 msm",
    "bls12 g2 add",
    "bls12 g2 msm",
    "bls12 pairing",
    "bls12 map g1",
    "bls12 map g2",
];

fn name(precompile: Address) -> String {
    let number = u64::from_be_bytes(*precompile.0.last_chunk::<8>().unwrap_or(&[0; 8]));
    let index = usize::try_from(number).ok().and_then(|it| it.checked_sub(1));
    match index.and_then(|index| NAMES.get(index)) {
        Some(name) => (*name).to_owned(),
        None if number == 0x100 => "secp256r1".to_owned(),
        None => precompile.to_string(),
    }
}

pub(super) fn run(args: &OffloadArgs) -> Result<End, Stop> {
    let items = items(&args.what)?;
    let mut progress = Progress::new(items.len());
    let (mut sum, mut end, mut limits) = (Offload::default(), End::Right, Vec::new());
    if !args.json {
        begin()?;
    }
    for item in items {
        let block = item.name();
        progress.begin(&block);
        let found = one(args, item);
        progress.end();
        match found {
            Ok(found) => {
                limits.push(found.limit(found.all()));
                sum.add(&found);
                progress.aside(|| match (args.json, args.each) {
                    (true, _) => writeln!(io::stdout().lock(), "{}", object(Some(&block), &found)),
                    (false, true) => line(&block, &found, found.all()),
                    (false, false) => Ok(()),
                })?;
            }
            Err(message) => {
                end = End::BadInput;
                print_error(&format!("{block}: {message}"));
            }
        }
    }
    drop(progress);
    if limits.is_empty() {
        return Ok(end);
    }
    if args.json {
        writeln!(io::stdout().lock(), "{}", object(None, &sum))?;
        return Ok(end);
    }
    line("keccak256", &sum, sum.keccak)?;
    for (address, part) in &sum.precompiles {
        line(&name(*address), &sum, *part)?;
    }
    line("all of it", &sum, sum.all())?;
    let count = limits.len();
    if let Some([median, most_of_ten, most]) = quantiles(limits, [0.5, 0.9, 1.0]) {
        writeln!(
            io::stdout().lock(),
            "{count} blocks, limits: median {median:.2}, nine of ten below {most_of_ten:.2}, most {most:.2}",
        )?;
    }
    Ok(end)
}

fn one(args: &OffloadArgs, item: Item) -> Result<Offload, String> {
    let file = item.scaled(args.txs, 1, 1).map_err(|it| it.message)?;
    let (block, database) = file.to_block().map_err(|error| error.to_string())?;
    drop(file);
    offload(&block, &database, args.rounds).map_err(|error| error.to_string())
}

fn begin() -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "build profile {}", profile::PROFILE)?;
    let bold = Style::new().bold();
    writeln!(
        out,
        "{bold}{:<38} {:>9} {:>10} {:>8} {:>8} {:>8}{bold:#}",
        "what", "calls", "KiB", "of gas", "of time", "limit"
    )
}

fn shares(whole: &Offload, part: Part) -> [f64; 2] {
    let gas = part.gas as f64 / (whole.gas as f64).max(f64::MIN_POSITIVE);
    [gas, part.time.as_secs_f64() / whole.time.as_secs_f64().max(f64::MIN_POSITIVE)]
}

fn line(what: &str, whole: &Offload, part: Part) -> io::Result<()> {
    let [gas, time] = shares(whole, part).map(|share| 100.0 * share);
    let (calls, kib, limit) = (part.calls, part.bytes as f64 / 1024.0, whole.limit(part));
    writeln!(
        anstream::stdout().lock(),
        "{what:<38} {calls:>9} {kib:>10.1} {gas:>6.1} % {time:>6.1} % {limit:>8.2}"
    )
}

fn object(block: Option<&str>, whole: &Offload) -> Value {
    let one = |what: String, part: Part| {
        let [gas, time] = shares(whole, part);
        json!({
            "what": what,
            "calls": part.calls,
            "bytes": part.bytes,
            "gas_share": gas,
            "time_share": time,
            "limit": whole.limit(part),
        })
    };
    let precompiles = whole.precompiles.iter().map(|(address, part)| one(name(*address), *part));
    let parts = [one("keccak256".to_owned(), whole.keccak)].into_iter().chain(precompiles);
    json!({
        "block": block,
        "gas": whole.gas,
        "seconds": whole.time.as_secs_f64(),
        "parts": parts.collect::<Vec<_>>(),
        "all": one("all".to_owned(), whole.all()),
        "profile": profile::PROFILE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precompiles_have_names() {
        assert_eq!(name(Address::with_last_byte(1)), "ecrecover");
        assert_eq!(name(Address::with_last_byte(17)), "bls12 map g2");
        let other = Address::left_padding_from(&[1, 0]);
        assert_eq!(name(other), "secp256r1");
        assert_eq!(name(Address::ZERO), Address::ZERO.to_string());
    }
}
