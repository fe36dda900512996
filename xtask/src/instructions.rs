//! Instruction counts of fixed blocks on one worker: the guard against what makes the engine slower
//! without a check that notices.
//!
//! callgrind counts a run of the tool that generates a block and executes it once, and one that
//! executes it five times; the difference is four executions. No clock is involved, so the counts
//! repeat to a fraction of a percent on any machine. What a seeded hash map does from run to run is
//! the rest.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, output, target_dir};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the recorded counts lie, below the workspace's root.
const RECORD: &str = "xtask/instructions.txt";
/// The workloads, with the number of transactions of each. With one worker a block runs in order;
/// forced to speculate it goes through protocol and store.
const WORKLOADS: [(&str, u32); 5] = [
    ("a_raw", 1_000),
    ("c_erc20", 600),
    ("c_erc20 --policy=force-speculative", 600),
    ("e_uni --policy=force-speculative", 300),
    ("m_mainnet --policy=force-speculative", 300),
];
/// Executions in the longer run, beyond the one in the shorter.
const MORE: u64 = 4;
/// How far a count may be from its record, in thousandths.
const TOLERANCE: u64 = 30;

/// A workload with its count of instructions for each transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Count {
    workload: String,
    instructions: u64,
}

/// Compares the counts with the recorded ones, or with `update` records them.
pub(crate) fn instructions(runner: &mut Runner, update: bool) -> Result<(), Failed> {
    if !is_there("valgrind", &["--version"]) {
        runner.skip("instruction counts", "no valgrind");
        return Ok(());
    }
    let path = runner.root().join(RECORD);
    let record = fs::read_to_string(&path).unwrap_or_default();
    let mut rustc = Command::new("rustc");
    rustc.arg("--version").current_dir(runner.root());
    let compiler = match output(rustc) {
        Ok(version) => version.trim().to_owned(),
        Err(why) => return runner.check("instruction counts", |_| Err(why)),
    };
    let (recorded_with, recorded) = parse(&record);
    if !update && recorded_with != compiler {
        // Another compiler makes other code of the same source.
        let why = format!("recorded with {recorded_with:?}, this is {compiler:?}");
        runner.skip("instruction counts", &why);
        return Ok(());
    }
    // Cut into many codegen units, what is inlined - and the counts, by up to 15 % - depends on where the
    // cuts happen to fall.
    let mut build = cargo("build --locked --profile dist -p braid-cli");
    build.env("CARGO_PROFILE_DIST_DEBUG", "none");
    runner.command("tool: build", build)?;
    let tool = target_dir(runner.root()).join("dist/braid");
    runner.check("instruction counts", |_| {
        let counts =
            WORKLOADS.map(|(workload, transactions)| lowest(&tool, workload, transactions));
        let counts = counts.into_iter().collect::<Result<Vec<_>, _>>()?;
        if update {
            fs::write(&path, text(&compiler, &counts)).map_err(|error| error.to_string())?;
            return Ok(format!("recorded in {RECORD}: {}", listed(&counts)));
        }
        compare(&recorded, &counts).map(|()| listed(&counts))
    })
}

/// The lowest of three counts: the seeds of hash maps differ from run to run, and now and then a
/// count is 3 % higher for them. What really costs more costs it every time.
fn lowest(tool: &Path, workload: &str, transactions: u32) -> Result<Count, String> {
    let counts = (0..3).map(|_| count(tool, workload, transactions));
    let counts = counts.collect::<Result<Vec<_>, _>>()?;
    let lowest = counts.into_iter().min_by_key(|count| count.instructions);
    lowest.ok_or_else(|| format!("{workload}: no count"))
}

/// Instructions of one execution, for each transaction.
fn count(tool: &Path, workload: &str, transactions: u32) -> Result<Count, String> {
    let instructions = |executions: u64| {
        let out = tool.with_file_name(format!("callgrind.{executions}"));
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--quiet"]);
        command.arg(format!("--callgrind-out-file={}", out.display()));
        command.arg(tool).arg("bench").args(workload.split(' ')).arg("--workers=1");
        command.arg(format!("--txs={transactions}")).arg(format!("--execute={executions}"));
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            return Err(format!("valgrind {workload}: {status:?}"));
        }
        let profile = fs::read_to_string(&out).map_err(|error| error.to_string())?;
        let _ = fs::remove_file(&out);
        total(&profile).ok_or_else(|| format!("{}: no total", out.display()))
    };
    let (few, many) = (instructions(1)?, instructions(1 + MORE)?);
    let more = many.checked_sub(few).ok_or("more executions took fewer instructions")?;
    let instructions = more / MORE / u64::from(transactions);
    Ok(Count { workload: workload.to_owned(), instructions })
}

/// The sum of a callgrind profile.
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("summary:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The compiler and the counts of a record.
fn parse(record: &str) -> (String, Vec<Count>) {
    let mut lines = record.lines().filter(|line| !line.starts_with('#'));
    let compiler = lines.next().unwrap_or_default().to_owned();
    let counts = lines.filter_map(|line| {
        let (workload, instructions) = line.rsplit_once(' ')?;
        let instructions = instructions.trim().parse().ok()?;
        Some(Count { workload: workload.to_owned(), instructions })
    });
    (compiler, counts.collect())
}

fn text(compiler: &str, counts: &[Count]) -> String {
    let mut text = String::from(
        "# Instructions of one execution for each transaction, on one worker. Written by\n\
         # `cargo xtask instructions --update`; a change needs its reason in CHANGELOG.md.\n",
    );
    let _ = writeln!(text, "{compiler}");
    for Count { workload, instructions } in counts {
        let _ = writeln!(text, "{workload} {instructions}");
    }
    text
}

fn listed(counts: &[Count]) -> String {
    let count = |count: &Count| format!("{} {}", count.workload, count.instructions);
    counts.iter().map(count).collect::<Vec<_>>().join(", ")
}

/// Whether every count is close to its record; says which are not. Fewer instructions count too: a
/// record that is too high would hide the next loss.
fn compare(recorded: &[Count], found: &[Count]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for Count { workload, instructions } in found {
        let known = recorded.iter().find(|known| known.workload == *workload);
        let Some(known) = known.map(|known| known.instructions) else {
            wrong.push(format!("{workload}: no record, found {instructions}"));
            continue;
        };
        if instructions.abs_diff(known).saturating_mul(1_000) > known.saturating_mul(TOLERANCE) {
            let change = *instructions as f64 * 100.0 / known as f64 - 100.0;
            wrong.push(format!("{workload}: {known} -> {instructions} ({change:+.1} %)"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}; if that is meant: cargo xtask instructions --update, and the reason in CHANGELOG.md",
        wrong.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(instructions: [u64; 2]) -> Vec<Count> {
        let names = ["one", "other"].into_iter();
        let count =
            |(name, instructions): (&str, u64)| Count { workload: name.to_owned(), instructions };
        names.zip(instructions).map(count).collect()
    }

    #[test]
    fn four_percent_more_or_less_fail() {
        let recorded = counts([10_000, 500]);
        assert_eq!(compare(&recorded, &counts([10_300, 485])), Ok(()));
        for (found, change) in [([10_400, 500], "+4.0 %"), ([9_600, 500], "-4.0 %")] {
            let why = compare(&recorded, &counts(found)).unwrap_err();
            assert!(why.contains("one: 10000") && why.contains(change), "{why}");
            assert!(!why.contains("other"), "{why}");
        }
        let why = compare(&recorded[..1], &recorded).unwrap_err();
        assert!(why.contains("other: no record"), "{why}");
    }

    #[test]
    fn a_record_reads_back() {
        let recorded = counts([7, 8]);
        let (compiler, read) = parse(&text("rustc 1.95.0 (abc)", &recorded));
        assert_eq!((compiler.as_str(), read), ("rustc 1.95.0 (abc)", recorded));
        assert_eq!(parse(""), (String::new(), Vec::new()));
    }

    #[test]
    fn the_total_of_a_profile_is_found() {
        assert_eq!(total("version: 1\nevents: Ir\nsummary: 12345\n\nfn=x\n"), Some(12_345));
        assert_eq!(total("events: Ir\n"), None);
    }
}
