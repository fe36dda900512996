//! Compares the instruction counts of sequential revm and of Braid with one worker on the same
//! blocks, to catch slowdowns that no other check notices.
//!
//! callgrind runs one process for each block, and counts the two functions of
//! `crates/blocks/examples/count.rs` that execute it. Reading and preparing the block and dropping
//! results are not counted. No clock is involved, so the ratios repeat to a fraction of a percent
//! on any machine; randomly seeded hash maps cause the remaining difference.

mod profile;
mod record;

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, fixtures, is_there, output, target_dir};
use clap::Args;
use record::{Count, compare, listed, parse, table, text};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::{env, fs};

/// File of the recorded counts, below the workspace's root.
const RECORD: &str = "xtask/instructions.txt";
/// Workloads, each with its number of transactions. One worker executes a block sequentially; rows
/// that force speculation measure the protocol and the store.
const WORKLOADS: [(&str, u32); 11] = [
    ("a_raw", 1_000),
    ("c_erc20", 600),
    ("e_uni", 300),
    ("m_mainnet", 300),
    ("nft-game", 300),
    ("supply-chain", 300),
    ("c_erc20 speculative", 600),
    ("e_uni speculative", 300),
    ("m_mainnet speculative", 300),
    ("nft-game speculative", 300),
    ("supply-chain speculative", 300),
];
/// Shared real blocks from Frontier to Osaka, with 1 to 1,414 transactions. Ten of them take less
/// than a millisecond.
const BLOCKS: [&str; 20] = [
    "mainnet-930196",
    "mainnet-1920000",
    "mainnet-2641321",
    "mainnet-3138943",
    "mainnet-3932759",
    "mainnet-5891667",
    "mainnet-8889776",
    "mainnet-9068998",
    "mainnet-10760440",
    "mainnet-11814555",
    "mainnet-12459406",
    "mainnet-13287210",
    "mainnet-15537394",
    "mainnet-18884981",
    "mainnet-19933122",
    "mainnet-21077746",
    "holesky-2971845",
    "mainnet-22615247",
    "mainnet-23588347",
    "mainnet-24628607",
];
/// Counted executions in each process; the count is their mean.
const TIMES: u64 = 3;

/// Rows to count, and what to do with the counts.
#[derive(Args, Debug, Default)]
pub(crate) struct InstructionsArgs {
    /// Only rows whose names contain one of these words
    words: Vec<String>,
    /// Record the counts instead of comparing them; give the reason in CHANGELOG.md
    #[arg(long, conflicts_with_all = ["words", "tool"])]
    update: bool,
    /// Count this build of braid-blocks's example `count`, without comparing with the record
    #[arg(long, value_name = "PATH")]
    tool: Option<PathBuf>,
    /// Also write the counts to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A block to count.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    /// Arguments of the program after the number of executions.
    arguments: Vec<String>,
}

/// Prints the counts, and compares them with the record or records them.
pub(crate) fn instructions(runner: &mut Runner, args: &InstructionsArgs) -> Result<(), Failed> {
    if !is_there("valgrind", &["--version"]) {
        runner.skip("instruction counts", "no valgrind");
        return Ok(());
    }
    let setting = match setting(runner.root()) {
        Ok(setting) => setting,
        Err(why) => return runner.check("instruction counts", |_| Err(why)),
    };
    let real = match fixtures(runner.root()) {
        Ok(real) => real,
        Err(why) => return runner.check("instruction counts", |_| Err(why)),
    };
    if real.is_none() {
        runner.skip("instruction counts: real blocks", "there are none here (BRAID_FIXTURES)");
    }
    let tool = match &args.tool {
        Some(tool) => tool.clone(),
        None => {
            // With many codegen units, inlining depends on where the crate is split, and the counts
            // vary by up to 15 %.
            let build = cargo("build --locked --profile dist -p braid-blocks --example count");
            runner.command("instruction counts: build", build)?;
            target_dir(runner.root()).join("dist/examples/count")
        }
    };
    let rows = rows(real.as_deref(), args);
    let mut counts = Vec::new();
    runner.check("instruction counts", |root| {
        counts = counted(&tool, &target_dir(root), rows)?;
        print!("{}", table(&counts));
        if let Some(file) = &args.json {
            fs::write(file, record::json(&counts))
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
        Ok(listed(&counts))
    })?;
    if args.tool.is_some() {
        return Ok(());
    }
    let path = runner.root().join(RECORD);
    if args.update {
        return runner.check("instruction counts: record", |_| {
            fs::write(path, text(&setting, &counts)).map_err(|error| error.to_string())?;
            Ok(format!("written to {RECORD}"))
        });
    }
    let (recorded_with, recorded) = parse(&fs::read_to_string(path).unwrap_or_default());
    if target(&recorded_with) != target(&setting) {
        let why = format!("recorded with {recorded_with:?}, this is {setting:?}");
        runner.skip("instruction counts: comparison", &why);
        return Ok(());
    }
    let is_whole = args.words.is_empty() && real.is_some();
    runner.check("instruction counts: comparison", |_| {
        let slack = if recorded_with == setting { 0.0 } else { ELSEWHERE };
        compare(&recorded, &counts, is_whole, slack)?;
        Ok(format!("{} ratios match {RECORD}", counts.len()))
    })
}

/// Processor features that select one of the C library's `memcpy` implementations.
const COPIES: [&str; 4] = ["avx2", "avx512vl", "erms", "fsrm"];

/// Further difference of a ratio from its record in another setting, in thousandths: valgrind, C
/// library and processor affect both sides of a ratio.
const ELSEWHERE: f64 = 6.0;

/// Returns the compiler and the architecture of a setting. Ratios are comparable if these are equal.
fn target(setting: &str) -> (&str, &str) {
    let architecture = setting.rsplit("; ").next().and_then(|last| last.split(' ').next());
    (setting.split(';').next().unwrap_or_default(), architecture.unwrap_or_default())
}

/// Returns compiler, valgrind, C library and processor. Counts are comparable if all are equal.
fn setting(root: &Path) -> Result<String, String> {
    let first_line = |program: &str| {
        let mut command = Command::new(program);
        command.arg("--version").current_dir(root);
        output(command).map(|text| text.lines().next().unwrap_or_default().to_owned())
    };
    let [rustc, valgrind, libc] = ["rustc", "valgrind", "ldd"].map(first_line);
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = processor.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |copy: &&&str| flags.split(' ').any(|flag| flag == **copy);
    let copies: Vec<&str> = COPIES.iter().filter(has).copied().collect();
    let (architecture, copies) = (env::consts::ARCH, copies.join(" "));
    Ok(format!("{}; {}; {}; {architecture} {copies}", rustc?, valgrind?, libc?))
}

/// Returns the rows that `args` selects.
fn rows(real: Option<&Path>, args: &InstructionsArgs) -> Vec<Row> {
    let workload = |(name, transactions): &(&str, u32)| {
        let mut arguments: Vec<String> = name.split(' ').map(str::to_owned).collect();
        arguments.insert(1, transactions.to_string());
        Row { name: (*name).to_owned(), arguments }
    };
    let block = |folder: &Path, name: &str| {
        let file = folder.join(format!("{name}.json.zst"));
        Row { name: name.to_owned(), arguments: vec![file.display().to_string()] }
    };
    let real = real.into_iter().flat_map(|folder| BLOCKS.iter().map(move |it| block(folder, it)));
    let named =
        |row: &Row| args.words.is_empty() || args.words.iter().any(|word| row.name.contains(word));
    WORKLOADS.iter().map(workload).chain(real).filter(named).collect()
}

/// Counts the rows, as many at once as there are cores.
fn counted(tool: &Path, folder: &Path, rows: Vec<Row>) -> Result<Vec<Count>, String> {
    let total = rows.len();
    let left = Mutex::new(rows.into_iter().enumerate());
    let next = || left.lock().ok()?.next();
    let work = || -> Result<Vec<(usize, Count)>, String> {
        let mut mine = Vec::new();
        while let Some((index, row)) = next() {
            mine.push((index, count(tool, folder, index, &row)?));
        }
        Ok(mine)
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let all: Result<Vec<_>, String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|it| it.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
            .collect()
    });
    let mut all = all?.concat();
    all.sort_by_key(|(index, _)| *index);
    if all.is_empty() {
        return Err(format!("nothing is counted of {total} rows: no row has such a name"));
    }
    Ok(all.into_iter().map(|(_, count)| count).collect())
}

/// Counts the instructions of one row.
fn count(tool: &Path, folder: &Path, index: usize, row: &Row) -> Result<Count, String> {
    let out = folder.join(format!("callgrind.{index}"));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(tool).arg(TIMES.to_string()).args(&row.arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let run = command.output().map_err(|error| format!("valgrind: {error}"))?;
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        return Err(format!("valgrind {}: {}: {said}", row.name, run.status));
    }
    let profile = fs::read_to_string(&out).map_err(|error| error.to_string())?;
    let _ = fs::remove_file(&out);
    let of = |function: &str| {
        let (calls, instructions) = profile::inclusive(&profile, function);
        if calls == TIMES {
            return Ok(instructions / TIMES);
        }
        Err(format!("{}: {calls} calls of {function} in the profile, not {TIMES}", row.name))
    };
    let (sequential, braid) = (of("counted_sequential")?, of("counted_braid")?);
    Ok(Count { name: row.name.clone(), sequential, braid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_words() {
        let count = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let args = InstructionsArgs { words, ..InstructionsArgs::default() };
            rows(Some(Path::new("blocks")), &args).len()
        };
        assert_eq!(count(&[]), WORKLOADS.len() + BLOCKS.len());
        assert_eq!((count(&["speculative"]), count(&["930196", "a_raw"])), (5, 2));
    }
}
