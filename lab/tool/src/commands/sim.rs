//! `braid-lab sim`: random blocks on simulated workers, scheduled by a seed.

use braid_evm::evm_simulator;
use braid_terminal::{End, Progress, Stop};
use braid_testkit::simulation::{Ending, FaultKind, Judged, Scenario, Wishes, judge};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    num::NonZeroU16,
};

const EXAMPLES: &str = "\
Examples:
  braid-lab sim                                       2,000 blocks, every kind of fault
  braid-lab sim --seed 1906 --blocks 1 --steps        replay one, step by step
  braid-lab sim --workers 3 --faults panic,cancel --blocks 10000
  braid-lab sim --whole --blocks 10000                batches and the bundle, too
  braid-lab sim --whole --lists                       blocks with access lists, right and wrong
  braid-lab sim --whole --declared                    transactions that declare what they access
  braid-lab sim --json | jq 'select(.ok | not)'

Exit code: 0 if every block equals sequential execution; 1 if one does not; 2 if an
option is wrong.";

/// Execute random hostile blocks on simulated workers, with faults, and compare everything
///
/// One worker runs at a time and may be preempted between any two reads of a transaction. The
/// schedule, the block, the configuration and the fault follow from the seed. The same seed with
/// the same options takes the same steps on every machine.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SimArgs {
    /// First seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Number of seeds
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    blocks: u64,
    /// Number of simulated workers [default: 1 to 8, by the seed]
    #[arg(long, value_name = "W", value_parser = braid_terminal::workers_from)]
    workers: Option<NonZeroU16>,
    /// Kinds of faults, separated by commas [default: every kind]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    faults: Vec<FaultKind>,
    /// Run the whole executor, with batches and bundle, and not only workers that share a store.
    /// The block is never cancelled, and the order of steps also depends on hashes
    #[arg(long, conflicts_with = "steps")]
    whole: bool,
    /// Give valid blocks their access lists (EIP-7928), most of them spoiled; the only other fault
    /// is cancellation
    #[arg(long)]
    lists: bool,
    /// Let transactions declare their accesses, some of them wrongly; there are no other faults
    #[arg(long, conflicts_with = "lists")]
    declared: bool,
    /// Print every step of the workers
    #[arg(long)]
    steps: bool,
    /// Print one JSON object per line: one for each block, then the total
    #[arg(long)]
    json: bool,
}

impl SimArgs {
    fn wishes(&self) -> Wishes {
        let faults =
            if self.faults.is_empty() { FaultKind::ALL.into() } else { self.faults.clone() };
        let (whole, lists, declared) = (self.whole, self.lists, self.declared);
        Wishes { workers: self.workers, faults, whole, lists, declared }
    }

    /// Returns the command that replays `seed`.
    fn replay(&self, seed: u64) -> String {
        let mut command = format!("braid-lab sim --seed {seed} --blocks 1");
        if let Some(workers) = self.workers {
            command += &format!(" --workers {workers}");
        }
        if self.whole {
            command += " --whole";
        }
        if self.lists {
            command += " --lists";
        }
        if self.declared {
            command += " --declared";
        }
        if !self.faults.is_empty() {
            let names = self.faults.iter().filter_map(|kind| kind.to_possible_value());
            let names: Vec<String> = names.map(|value| value.get_name().to_owned()).collect();
            command += &format!(" --faults {}", names.join(","));
        }
        command
    }
}

/// Result of one block.
#[derive(Serialize)]
struct BlockLine {
    seed: u64,
    txs: usize,
    workers: u16,
    ok: bool,
    /// How the block ended, if the result is correct.
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<String>,
    steps: u64,
    /// Hash of the sequence of steps.
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<String>,
}

/// Totals over all blocks.
#[derive(Debug, Default, Serialize)]
struct TotalLine {
    total: bool,
    ok: bool,
    blocks: u64,
    wrong: u64,
    txs: usize,
    steps: u64,
    incarnations: u64,
    aborts: u64,
    blocked: u64,
    /// Number of blocks by ending.
    endings: BTreeMap<String, u64>,
}

/// Simulates the requested blocks.
pub(super) fn simulate(args: &SimArgs) -> Result<End, Stop> {
    let (mut simulator, wishes) = (evm_simulator(), args.wishes());
    let mut total = TotalLine { total: true, ok: true, ..TotalLine::default() };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut progress = Progress::new(usize::try_from(args.blocks).unwrap_or(usize::MAX));
    for seed in args.seed..args.seed.saturating_add(args.blocks) {
        progress.begin(&format!("seed {seed}"));
        let mut scenario = Scenario::new(seed, &wishes);
        scenario.simulation.options.keep_steps = args.steps;
        let judged = judge(&mut simulator, &scenario);
        total.note(&scenario, &judged);
        if args.json {
            let line = block_line(args, &scenario, &judged);
            writeln!(out, "{}", serde_json::to_string(&line).map_err(io::Error::other)?)?;
        } else {
            block_text(&mut out, args, &scenario, &judged)?;
        }
        progress.end();
    }
    drop(progress);
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&total).map_err(io::Error::other)?)?;
    } else {
        total.text(&mut out)?;
    }
    out.flush()?;
    Ok(if total.ok { End::Right } else { End::Mismatch })
}

fn block_line(args: &SimArgs, scenario: &Scenario, judged: &Judged) -> BlockLine {
    let verdict = judged.verdict.as_ref();
    BlockLine {
        seed: scenario.seed,
        txs: scenario.case.block.transactions.len(),
        workers: scenario.simulation.options.workers,
        ok: verdict.is_ok(),
        ending: verdict.ok().map(|ending| name(*ending)),
        steps: judged.step_count,
        digest: format!("{:016x}", judged.digest),
        difference: verdict.err().cloned(),
        replay: verdict.is_err().then(|| args.replay(scenario.seed)),
    }
}

/// Prints a block; with many blocks, only those with wrong results.
fn block_text(
    out: &mut impl Write,
    args: &SimArgs,
    scenario: &Scenario,
    judged: &Judged,
) -> io::Result<()> {
    let is_wrong = judged.verdict.is_err();
    if args.blocks > 1 && !args.steps && !is_wrong {
        return Ok(());
    }
    writeln!(out, "{scenario}")?;
    for (number, step) in judged.steps.iter().enumerate() {
        let worker = step.worker.0;
        match step.stopped_at {
            Some(point) => writeln!(out, "{number:>6}  worker {worker}  {point:?}")?,
            None => writeln!(out, "{number:>6}  worker {worker}  waits or ends")?,
        }
    }
    let Judged { step_count, digest, verdict, .. } = judged;
    match verdict {
        Ok(ending) => {
            writeln!(out, "{}, {step_count} steps, digest {digest:016x}", name(*ending))
        }
        Err(wrong) => {
            writeln!(out, "WRONG: {}\nreplay: {}", wrong.trim_end(), args.replay(scenario.seed))
        }
    }
}

impl TotalLine {
    fn note(&mut self, scenario: &Scenario, judged: &Judged) {
        self.blocks += 1;
        self.txs += scenario.case.block.transactions.len();
        self.steps += judged.step_count;
        self.incarnations += judged.stats.incarnations;
        self.aborts += judged.stats.aborts;
        self.blocked += judged.stats.estimate_reads;
        match &judged.verdict {
            Ok(ending) => *self.endings.entry(name(*ending)).or_default() += 1,
            Err(_) => {
                self.wrong += 1;
                self.ok = false;
            }
        }
    }

    fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { blocks, wrong, txs, steps, incarnations, aborts, blocked, .. } = self;
        let endings = self.endings.iter().map(|(ending, count)| format!("{count} {ending}"));
        let endings: Vec<String> = endings.collect();
        writeln!(
            out,
            "{blocks} blocks, {txs} transactions, {steps} steps: {}",
            endings.join(", ")
        )?;
        writeln!(out, "{incarnations} runs, {aborts} aborted, {blocked} blocked")?;
        match wrong {
            0 => writeln!(out, "every block equals sequential execution"),
            wrong => writeln!(out, "{wrong} blocks do not equal sequential execution"),
        }
    }
}

fn name(ending: Ending) -> String {
    format!("{ending:?}").to_lowercase()
}
