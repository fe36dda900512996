//! Compares two builds of the tool, to measure the cost of a change before it is merged.
//!
//! Each process measures one block against sequential revm, so that load on the machine affects
//! both sides of the ratio. The builds alternate process by process on each block, in both orders,
//! and a pair of processes gives one comparison. Comparing a build with itself in the same way
//! gives the noise.

mod args;
mod builds;
mod report;
pub(crate) mod statistics;

use crate::runner::{Failed, Runner};
use crate::workspace::fixtures;
pub(crate) use args::CompareArgs;
use builds::{Tools, tools};
use serde_json::Value;
use statistics::{Measured, Pair, Setting};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Number of blocks on which a build is compared with itself.
const OF_NOISE: usize = 12;
/// Timed rounds of each process.
const IN_PROCESS: u32 = 7;

/// Builds the tools if necessary, measures them, and fails if the new build is significantly
/// slower.
pub(crate) fn compare_builds(runner: &mut Runner, args: &CompareArgs) -> Result<(), Failed> {
    let Tools { old, new } = tools(runner, args)?;
    let mut items = Vec::new();
    runner.check("builds: blocks", |root| {
        items = named(fixtures(root)?.as_deref(), args)?;
        Ok(format!("{} blocks and workloads", items.len()))
    })?;
    let mut noise = Vec::new();
    let step = items.len().div_ceil(OF_NOISE).max(1);
    let few: Vec<_> = items.iter().step_by(step).cloned().collect();
    runner.check("builds: the new one against itself", |_| {
        noise = measure([&new, &new], &few, args)?;
        Ok(report::noise(&noise))
    })?;
    runner.check("builds: new against old", |_| {
        let measured = measure([&old, &new], &items, args)?;
        print!("{}", report::text(&measured));
        if let Some(file) = &args.json {
            fs::write(file, report::json(&noise, &measured))
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
        report::judge(&noise, &measured)
    })
}

/// Returns the tool's arguments for each block and workload.
fn named(real: Option<&Path>, args: &CompareArgs) -> Result<Vec<String>, String> {
    let count = match &args.blocks[..] {
        [] => Some(usize::MAX),
        [one] => one.parse::<usize>().ok(),
        _ => None,
    };
    let mut items = match (count, real) {
        (Some(count), Some(folder)) => sample(all(folder)?, count),
        (Some(_), None) if !args.workloads.is_empty() => Vec::new(),
        (Some(_), None) => return Err("there are no real blocks here (BRAID_FIXTURES)".to_owned()),
        (None, _) => args.blocks.clone(),
    };
    items.extend(args.workloads.iter().cloned());
    Ok(items)
}

/// Returns the block files in `folder`, sorted by name.
fn all(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path().display().to_string()))
        .filter(|name| name.ends_with(".json.zst") && !name.ends_with(".witness.json.zst"))
        .collect();
    files.sort();
    Ok(files)
}

/// Returns `count` evenly spaced entries of `all`.
fn sample(all: Vec<String>, count: usize) -> Vec<String> {
    let total = all.len();
    let count = count.min(total);
    let wanted = |index: &usize| count > 0 && (index * count) % total < count;
    (0..total).filter(wanted).filter_map(|index| all.get(index).cloned()).collect()
}

/// Measures each of `items` with both tools in alternation.
fn measure(
    tools: [&Path; 2],
    items: &[String],
    args: &CompareArgs,
) -> Result<Vec<Measured>, String> {
    let mut all = Vec::new();
    for (place, item) in items.iter().enumerate() {
        for learns in [true, false] {
            let mut block: Vec<Measured> = Vec::new();
            for round in 0..args.rounds {
                // The order alternates from round to round and from block to block.
                let swapped = (place + round as usize) % 2 == 1;
                let [first, second] = if swapped { [tools[1], tools[0]] } else { tools };
                let first = once(first, item, learns, args)?;
                let second = once(second, item, learns, args)?;
                let (old, new) = if swapped { (second, first) } else { (first, second) };
                for (index, (old, new)) in old.into_iter().zip(new).enumerate() {
                    let pair = Pair { old: old.1, new: new.1 };
                    match block.get_mut(index) {
                        Some(measured) => measured.pairs.push(pair),
                        None => block.push(Measured {
                            name: short(item),
                            setting: Setting { workers: old.0, learns },
                            pairs: vec![pair],
                        }),
                    }
                }
            }
            all.append(&mut block);
        }
    }
    Ok(all)
}

/// Returns the name of a file without folder and extensions.
fn short(item: &str) -> String {
    let name = item.rsplit('/').next().unwrap_or(item);
    name.split('.').next().unwrap_or(name).to_owned()
}

/// Runs one process, and returns its figures for each number of workers.
fn once(
    tool: &Path,
    item: &str,
    learns: bool,
    args: &CompareArgs,
) -> Result<Vec<(u64, statistics::Sample)>, String> {
    let workers: Vec<_> = args.workers.iter().map(u16::to_string).collect();
    let mut command = Command::new(tool);
    command.args(["bench", item, "--json", "--brief", "--pause=5ms"]);
    command.arg(format!("--workers={}", workers.join(",")));
    command.arg(format!("--rounds={IN_PROCESS}"));
    if !learns {
        command.arg("--no-learn");
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("{}: {error}", tool.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} {item}: {}: {said}", tool.display(), output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Option<Vec<_>> = text.lines().map(line).collect();
    let lines = lines.filter(|lines| lines.len() == args.workers.len());
    lines.ok_or_else(|| format!("{} {item}: unexpected figures: {text}", tool.display()))
}

/// Parses a line of `braid bench --json`.
fn line(line: &str) -> Option<(u64, statistics::Sample)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let number = |name: &str| value.get(name)?.as_f64().filter(|it| *it > 0.0);
    let sample = statistics::Sample {
        sequential_ms: number("seq_ms")?,
        braid_ms: number("par_ms")?,
        cpu: number("cpu_ratio").unwrap_or(f64::NAN),
    };
    Some((value.get("workers")?.as_u64()?, sample))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_size_and_reaches_over_all() {
        let all: Vec<_> = (0..78).map(|index| index.to_string()).collect();
        let twelve = sample(all.clone(), 12);
        assert_eq!(twelve.len(), 12);
        assert_eq!(twelve.first().map(String::as_str), Some("0"));
        assert!(twelve.last().is_some_and(|it| it.parse::<u32>().is_ok_and(|it| it > 70)));
        assert_eq!(sample(all.clone(), usize::MAX), all);
        assert!(sample(Vec::new(), 3).is_empty());
    }

    #[test]
    fn a_line_of_the_tool_is_read() {
        let text = r#"{"workers":2,"seq_ms":4.0,"par_ms":2.5,"cpu_ratio":1.1,"more":null}"#;
        let (workers, sample) = line(text).expect("figures");
        assert_eq!((workers, sample.sequential_ms, sample.cpu), (2, 4.0, 1.1));
        assert!((sample.ratio() - 1.6).abs() < 1e-9);
        assert!(line(r#"{"workers":2,"seq_ms":4.0}"#).is_none());
        assert_eq!(short("a/b/mainnet-7.json.zst"), "mainnet-7");
    }
}
