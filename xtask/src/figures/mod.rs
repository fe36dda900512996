//! Measures the tables of docs/BENCHMARKS.md, all with one build of the working tree.
//!
//! Each series is one call of `braid-lab bench --json`, whose lines are kept below `target/figures`;
//! the tables are computed from them. A series that is there already is not measured again, so the
//! recipe may be interrupted.

mod series;
mod tables;

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

/// Series to measure.
#[derive(Args, Debug)]
pub(crate) struct FiguresArgs {
    /// Only the series whose names contain one of these words
    words: Vec<String>,
    /// Measure again what has been measured
    #[arg(long)]
    again: bool,
    /// Build the tables from the series measured before
    #[arg(long, conflicts_with_all = ["words", "again"])]
    tables: bool,
}

/// Measures what is missing, and writes the tables whose series are complete.
pub(crate) fn figures(runner: &mut Runner, args: &FiguresArgs) -> Result<(), Failed> {
    let target = target_dir(runner.root());
    let folder = target.join("figures");
    if !args.tables {
        runner.command("figures: build", cargo("build --locked --profile dist -p braid-lab"))?;
        let mut real = None;
        runner.check("figures: real blocks", |root| {
            fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
            real = fixtures(root)?;
            let real = real.as_ref().ok_or("there are none: see docs/TESTING.md")?;
            fs::write(folder.join("origin.tsv"), origin()?).map_err(|error| error.to_string())?;
            Ok(real.display().to_string())
        })?;
        let real = real.unwrap_or_default();
        for series in SERIES {
            let is_asked = args.words.is_empty()
                || args.words.iter().any(|word| series.name.contains(word.as_str()));
            let file = folder.join(format!("{}.jsonl", series.name));
            if !is_asked || (file.is_file() && !args.again) {
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

/// Writes what `command` prints to `file`, once it is complete.
fn measure(mut command: Command, file: &Path) -> Result<String, String> {
    let begun = file.with_extension("part");
    let to = File::create(&begun).map_err(|error| error.to_string())?;
    let status = command.stdout(to).status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(status.to_string());
    }
    fs::rename(&begun, file).map_err(|error| error.to_string())?;
    Ok(file.display().to_string())
}

/// Writes every table whose series have been measured, and the build and host they come from.
fn write(root: &Path, folder: &Path) -> Result<String, String> {
    let mut measured = Measured::new();
    for series in SERIES {
        let Ok(text) = fs::read_to_string(folder.join(format!("{}.jsonl", series.name))) else {
            continue;
        };
        let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        measured.insert(series.name, lines.map_err(|error| format!("{}: {error}", series.name))?);
    }
    let mut written = Vec::new();
    for table in TABLES {
        if table.series.iter().all(|name| measured.contains_key(name)) {
            let text = table.text(&measured).map_err(|why| format!("{}: {why}", table.name))?;
            let file = root.join(FOLDER).join(format!("{}.tsv", table.name));
            fs::write(file, text).map_err(|error| error.to_string())?;
            written.push(table.name);
        }
    }
    let origin = root.join(FOLDER).join("origin.tsv");
    fs::copy(folder.join("origin.tsv"), origin).map_err(|error| error.to_string())?;
    Ok(written.join(", "))
}

/// Returns the table of the build and the host.
fn origin() -> Result<String, String> {
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        output(command).map(|text| text.trim().to_owned())
    };
    let commit = run("git", &["rev-parse", "--short=8", "HEAD"])?;
    let date = run("git", &["log", "-1", "--format=%cs"])?;
    let rustc = run("rustc", &["--version"])?;
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    Ok(format!(
        "commit\tdate of the commit\tcompiler\thost\n{commit}\t{date}\t{rustc}\tvirtual machine, {cores} cores, {model}\n"
    ))
}
