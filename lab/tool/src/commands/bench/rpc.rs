//! `braid-lab bench rpc`: requests a second that nodes answer.

use crate::bench::rpc::{Node, RpcError};
use anstyle::Style;
use braid_cli::profile;
use braid_terminal::{End, Progress, Stop, time_from};
use clap::Args;
use core::{num::NonZeroU16, time::Duration};
use serde_json::json;
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  braid-node dev & anvil --port 8546 &
  braid-lab bench rpc http://127.0.0.1:8545 http://127.0.0.1:8546
  braid-lab bench rpc http://127.0.0.1:8545 --connections 1 --json

The client runs on the same machine and takes its share of the cores.

Exit code: 0; 2 if a node does not answer.";

/// Measure how many requests a second nodes answer, for ten common methods
///
/// On each node, its first account creates a contract and calls it. Then the nodes take turns,
/// method by method and round by round. The last column is the rate of the first node divided by
/// that of the last.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RpcArgs {
    /// Nodes that make blocks for their own accounts, such as `braid-node dev` and anvil
    #[arg(value_name = "URL", required = true)]
    nodes: Vec<String>,
    /// Connections, each with one request at a time
    #[arg(long, value_name = "N", default_value = "8")]
    connections: NonZeroU16,
    /// Duration of each turn
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time_from)]
    turn: Duration,
    /// Rounds; the median of them counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print one JSON object for each method and node
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RpcArgs) -> Result<End, Stop> {
    let stop = |url: &str, error: RpcError| Stop::Message(format!("{url}: {error}"));
    let prepared =
        args.nodes.iter().map(|url| Node::prepare(url).map_err(|error| stop(url, error)));
    let nodes = prepared.collect::<Result<Vec<_>, Stop>>()?;
    let methods: Vec<&str> = nodes.iter().take(1).flat_map(Node::methods).collect();
    let mut out = anstream::stdout().lock();
    if !args.json {
        let bold = Style::new().bold();
        writeln!(out, "build profile {}", profile::PROFILE)?;
        for (url, node) in args.nodes.iter().zip(&nodes) {
            writeln!(out, "{url}: {}", node.client)?;
        }
        write!(out, "{bold}{:<28}", "requests a second")?;
        for url in &args.nodes {
            let port = url.rsplit(['/', ':']).next().unwrap_or_default();
            write!(out, " {port:>10}")?;
        }
        writeln!(out, " {:>7}{bold:#}", "ratio")?;
    }
    let mut progress = Progress::new(methods.len());
    for (index, method) in methods.into_iter().enumerate() {
        progress.begin(method);
        let mut rates = vec![Vec::new(); nodes.len()];
        for _ in 0..args.rounds {
            for ((node, url), rates) in nodes.iter().zip(&args.nodes).zip(&mut rates) {
                let rate = node.rate(index, args.connections, args.turn);
                rates.push(rate.map_err(|error| stop(url, error))?);
            }
        }
        progress.end();
        let medians: Vec<f64> = rates.iter_mut().map(|rates| median(rates)).collect();
        progress.aside(|| {
            if args.json {
                return nodes.iter().zip(&args.nodes).zip(&medians).try_for_each(
                    |((node, url), rate)| {
                        let line = json!({
                            "method": method,
                            "node": url,
                            "client": node.client,
                            "requests_per_second": rate,
                            "connections": args.connections,
                            "profile": profile::PROFILE,
                        });
                        writeln!(out, "{line}")
                    },
                );
            }
            write!(out, "{method:<28}")?;
            medians.iter().try_for_each(|rate| write!(out, " {rate:>10.0}"))?;
            match medians[..] {
                [first, .., last] => writeln!(out, " {:>7.2}", first / last),
                _ => writeln!(out),
            }
        })?;
    }
    Ok(End::Right)
}

/// Returns the median of `rates`, the upper one of two.
fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
