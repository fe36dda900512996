//! Measures the tables of docs/BENCHMARKS.md, all with one build of the working tree.
//!
//! Each series is one call of `braid-lab bench --json`, whose lines are kept below `target/figures`,
//! in a folder for each commit; the tables are computed from them. A series that is there already
//! is not measured again, so the recipe may be interrupted.

mod series;
mod tables;

use crate::change::git;
use crate::fuzzing::in_words;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, fixtures, output, target_dir};
use clap::Args;
use serde_json::Value;
use series::SERIES;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use tables::{Measured, TABLES};

/// Folder of the tables, below the workspace's root.
const FOLDER: &str = "docs/data/benchmarks";
/// Table of the build and the host, beside the others.
const ORIGIN: &str = "origin.tsv";

/// Series to measure.
#[derive(Args, Debug)]
pub(crate) struct FiguresArgs {
    /// Only the series whose names contain one of these words
    words: Vec<String>,
    /// Measure again what has been measured
    #[arg(long)]
    again: bool,
    /// Build the tables from the series measured before; all of them are needed
    #[arg(long, conflicts_with_all = ["words", "again"])]
    tables: bool,
}

/// Measures what is missing, and writes the tables whose series are complete.
pub(crate) fn figures(runner: &mut Runner, args: &FiguresArgs) -> Result<(), Failed> {
    let target = target_dir(runner.root());
    let mut folder = target.join("figures");
    runner.check("figures: commit", |root| {
        let commit = commit(root)?;
        folder.push(&commit);
        fs::create_dir_all(&folder).map_err(in_words)?;
        Ok(commit)
    })?;
    if !args.tables {
        runner.command("figures: build", cargo("build --locked --profile dist -p braid-lab"))?;
        let mut real = None;
        runner.check("figures: real blocks", |root| {
            real = fixtures(root)?;
            fs::write(folder.join(ORIGIN), origin(root)?).map_err(in_words)?;
            let real = real.as_ref().ok_or("there are none: see docs/TESTING.md")?;
            Ok(real.display().to_string())
        })?;
        let real = real.unwrap_or_default();
        let is_asked = |name: &str| {
            args.words.is_empty() || args.words.iter().any(|word| name.contains(word.as_str()))
        };
        for series in SERIES.iter().filter(|series| is_asked(series.name)) {
            let file = folder.join(format!("{}.jsonl", series.name));
            if file.is_file() && !args.again {
                continue;
            }
            let mut command = Command::new(target.join("dist/braid-lab"));
            command.arg("bench").args(series.arguments(&real));
            runner.check(&format!("figures: {}", series.name), |_| measure(command, &file))?;
        }
    }
    runner.check("figures: tables", |root| write(root, &folder))?;
    println!("    Then: cargo xtask pages");
    Ok(())
}

/// Returns the commit that is checked out. Fails if code differs from it, because the tables name
/// the commit.
fn commit(root: &Path) -> Result<String, String> {
    let code = ["status", "--porcelain", "--", "src", "crates", "lab", "Cargo.toml", "Cargo.lock"];
    match git(root, &code)?.as_str() {
        "" => git(root, &["rev-parse", "--short=8", "HEAD"]),
        changed => Err(format!("commit these first, as the tables name the commit:\n{changed}")),
    }
}

/// Writes what `command` prints to `file`, once it is complete.
fn measure(mut command: Command, file: &Path) -> Result<String, String> {
    let begun = file.with_extension("part");
    let to = File::create(&begun).map_err(in_words)?;
    let status = command.stdout(to).status().map_err(in_words)?;
    if !status.success() {
        return Err(status.to_string());
    }
    fs::rename(&begun, file).map_err(in_words)?;
    Ok(file.display().to_string())
}

/// Writes the tables, and the build and host they come from, if all series have been measured.
fn write(root: &Path, folder: &Path) -> Result<String, String> {
    let (mut measured, mut missing) = (Measured::new(), Vec::new());
    for series in SERIES {
        let Ok(text) = fs::read_to_string(folder.join(format!("{}.jsonl", series.name))) else {
            missing.push(series.name);
            continue;
        };
        let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        measured.insert(series.name, lines.map_err(|error| format!("{}: {error}", series.name))?);
    }
    if !missing.is_empty() {
        // All tables are of one commit.
        return Ok(format!("not written: {} are not measured yet", missing.join(", ")));
    }
    let mut written = Vec::new();
    for table in TABLES {
        let text = table.text(&measured).map_err(|why| format!("{}: {why}", table.name))?;
        let file = root.join(FOLDER).join(format!("{}.tsv", table.name));
        fs::write(file, text).map_err(in_words)?;
        written.push(table.name);
    }
    let origin = root.join(FOLDER).join(ORIGIN);
    fs::copy(folder.join(ORIGIN), origin).map_err(in_words)?;
    Ok(written.join(", "))
}

/// Returns the table of the build, the day and the host.
fn origin(root: &Path) -> Result<String, String> {
    let run = |program: &str, argument: &str| {
        let mut command = Command::new(program);
        command.arg(argument);
        output(command).map(|text| text.trim().to_owned())
    };
    let (commit, day) = (commit(root)?, run("date", "+%F")?);
    let compiler = run("rustc", "--version")?;
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut models = processors.lines().filter_map(|line| line.strip_prefix("model name"));
    let model = models.next().map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']));
    let cores = 1 + models.count();
    Ok(format!(
        "commit\tmeasured\tcompiler\thost\n{commit}\t{day}\t{compiler}\tvirtual machine, {cores} cores, {model}\n"
    ))
}
