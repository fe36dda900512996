//! Fuzzes all targets in turn for a given time and keeps the inputs found, or feeds the transaction
//! pool of a node.

use crate::fuzzing::{
    Sanitizer, TARGETS, build, copy_inputs, cores, empty, found, fuzz_dir, in_words, start,
};
use crate::runner::{Failed, Runner};
use crate::turns::{Figures, Turns};
use crate::workspace::cargo;
use clap::Args;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Seconds to minimise a failing input.
const SHRINK: u64 = 60;

/// Duration and targets of soaking.
#[derive(Clone, Debug, Args)]
pub(crate) struct SoakArgs {
    /// Total minutes; without it, runs until interrupted. The last turn is always finished
    #[arg(long)]
    pub(crate) minutes: Option<u64>,
    /// Seconds per turn of each target
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) turn: u64,
    /// Instead of fuzzing, feed the pool of a node that makes blocks, and check that no transaction
    /// is lost and that memory does not grow
    #[arg(long, requires = "minutes", conflicts_with_all = ["target", "turn", "sanitizer"])]
    pub(crate) node: bool,
    /// What the build watches for
    #[arg(long, value_enum, default_value_t)]
    pub(crate) sanitizer: Sanitizer,
    /// Instead of fuzzing, add those of the kept inputs to fuzz/corpus that reach what the committed
    /// ones do not
    #[arg(long, conflicts_with_all = ["minutes", "turn", "node"])]
    pub(crate) merge: bool,
    /// Fuzz only this target
    #[arg(value_parser = TARGETS)]
    pub(crate) target: Option<String>,
}

/// Fuzzes all targets in turn, as many at once as there are cores. Their inputs are kept below
/// `target` for the next call, beside a page about what they did. A failing input is minimised and
/// becomes a regression test, and the other targets continue.
pub(crate) fn soak(runner: &mut Runner, args: &SoakArgs) -> Result<(), Failed> {
    if args.node {
        return node(runner, args.minutes.unwrap_or(1));
    }
    let targets = args.sanitizer.targets(runner, args.target.as_deref())?;
    build(runner, args.sanitizer, &targets)?;
    if args.merge {
        return targets.iter().try_for_each(|name| merge(runner, args.sanitizer, name));
    }
    // The time for the build is not part of the run.
    let end = args.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let mut filed = Vec::new();
    let page = fuzz_dir(runner.root()).join(format!("soak-{}.md", args.sanitizer.name()));
    let records = page.with_extension("json");
    let before = fs::read_to_string(&records).unwrap_or_default();
    let mut turns = Turns::new(&targets, &before);
    runner.check("what the targets have done before", |_| match &turns {
        Ok(_) => Ok(records.display().to_string()),
        Err(error) => Err(format!("{}: {error}; remove this file", records.display())),
    })?;
    let Ok(turns) = &mut turns else { return Err(Failed) };
    loop {
        for together in turns.next_round(cores()).chunks(cores()) {
            turn(runner, args, together, turns, &mut filed)?;
            runner.check("what the targets have done", |_| {
                fs::write(&page, turns.page()).map_err(in_words)?;
                let new = records.with_extension("new");
                fs::write(&new, turns.json()).map_err(in_words)?;
                fs::rename(&new, &records).map_err(in_words)?;
                Ok(page.display().to_string())
            })?;
            if end.is_some_and(|end| Instant::now() >= end) {
                print!("{}", turns.page());
                return over(runner, &filed);
            }
        }
    }
}

/// Adds the inputs that a target has kept to its committed ones, as far as they reach more.
fn merge(runner: &mut Runner, sanitizer: Sanitizer, name: &str) -> Result<(), Failed> {
    let kept = fuzz_dir(runner.root()).join("kept").join(name);
    let corpus = runner.root().join("fuzz/corpus").join(name);
    if !kept.is_dir() {
        runner.skip(&format!("merge of {name}"), "no inputs are kept");
        return Ok(());
    }
    let merging = start(runner, sanitizer, name, &[&corpus, &kept], 0, &["-merge=1"])?;
    runner.wait(merging)
}

/// Runs the test of `braid-node` that feeds a pool, for `minutes`.
fn node(runner: &mut Runner, minutes: u64) -> Result<(), Failed> {
    let mut command =
        cargo("test --locked --release -p braid-node --lib soak::a_pool -- --nocapture");
    command.env("BRAID_SOAK_SECONDS", (60 * minutes).to_string());
    runner.command("a pool that is fed", command)
}

fn over(runner: &mut Runner, filed: &[PathBuf]) -> Result<(), Failed> {
    runner.check("what was found", |_| match filed {
        [] => Ok("nothing".into()),
        filed => Err(filed.iter().map(|path| format!("\n    {}", path.display())).collect()),
    })
}

/// Fuzzes the targets `together` for one turn, and then minimises the inputs of each.
fn turn(
    runner: &mut Runner,
    args: &SoakArgs,
    together: &[&str],
    turns: &mut Turns,
    filed: &mut Vec<PathBuf>,
) -> Result<(), Failed> {
    let sanitizer = args.sanitizer;
    let dir = fuzz_dir(runner.root());
    let folders = together.iter().map(|name| (*name, dir.join("kept").join(name)));
    let folders: Vec<_> = folders.collect();
    let mut started = Vec::new();
    for (name, kept) in &folders {
        runner.check(&format!("inputs of {name}"), |root| {
            fs::create_dir_all(kept).map_err(in_words)?;
            copy_inputs(root, name, kept).map_err(in_words)
        })?;
        started.push((Instant::now(), start(runner, sanitizer, name, &[kept], args.turn, &[])?));
    }
    for ((name, kept), (begun, fuzzer)) in folders.iter().zip(started) {
        let ended = runner.wait(fuzzer);
        let seconds = begun.elapsed().as_secs().min(args.turn);
        let log = dir.join(format!("{name}.log"));
        runner.check(&format!("{name}: what was reached"), |_| told(&log))?;
        let found = failures(&found(runner.root(), name)).map_err(|_| Failed)?;
        let figures = fs::read(&log).map(|log| Figures::of(&String::from_utf8_lossy(&log)));
        turns.note(name, seconds, figures.unwrap_or_default(), found.len());
        if ended.is_err() && found.is_empty() {
            return Err(Failed);
        }
        for input in found {
            let smaller = shrink(runner, sanitizer, name, &input)?;
            runner.check(&format!("{name}: a regression test"), |root| {
                let path = file(root, name, &smaller).map_err(in_words)?;
                fs::remove_file(&input).map_err(in_words)?;
                filed.push(path.clone());
                Ok(format!("{}: add what went wrong, in a sentence", path.display()))
            })?;
        }
        minimise(runner, sanitizer, name, kept)?;
    }
    Ok(())
}

/// Returns the fuzzer's statistics and coverage from the end of its log.
fn told(log: &Path) -> Result<String, String> {
    let bytes = fs::read(log).map_err(in_words)?;
    let text = String::from_utf8_lossy(&bytes);
    let figures = text.lines().filter_map(|line| line.strip_prefix("stat::"));
    let figures: Vec<_> =
        figures.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let last = text.rfind(" inputs of ").map_or("", |at| &text[at..]);
    let reached: Vec<_> = last.lines().filter_map(|line| line.strip_prefix("reached ")).collect();
    Ok(format!("{}\n    {}", figures.join(", "), reached.join("; ")))
}

/// Returns the failing inputs, except those that are only slow.
fn failures(found: &Path) -> io::Result<Vec<PathBuf>> {
    let mut failures = Vec::new();
    for entry in fs::read_dir(found)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with("slow-unit-") {
            failures.push(entry.path());
        }
    }
    failures.sort();
    Ok(failures)
}

/// Returns a smaller input that fails too, or the same one if none was found in time or the failure
/// is intermittent.
fn shrink(
    runner: &mut Runner,
    sanitizer: Sanitizer,
    name: &str,
    input: &Path,
) -> Result<PathBuf, Failed> {
    let smaller = fuzz_dir(runner.root()).join(format!("{name}.smaller"));
    let _ = fs::remove_file(&smaller);
    let exact = format!("-exact_artifact_path={}", smaller.display());
    let flags = ["-minimize_crash=1", &exact];
    let shrinking = start(runner, sanitizer, name, &[input], SHRINK, &flags)?;
    // The fuzzer returns an error if the input does not fail again.
    let _ = runner.wait(shrinking);
    Ok(if smaller.is_file() { smaller } else { input.to_owned() })
}

/// Stores `input` where the tests of `fuzz` replay it.
fn file(root: &Path, name: &str, input: &Path) -> io::Result<PathBuf> {
    let bytes = fs::read(input)?;
    let mut hash = DefaultHasher::new();
    hash.write(&bytes);
    let folder = root.join("fuzz/regressions").join(name);
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("found-{:016x}", hash.finish()));
    fs::write(&path, bytes)?;
    Ok(path)
}

/// Replaces the inputs in `kept` with the fewest and smallest ones of equal coverage.
fn minimise(
    runner: &mut Runner,
    sanitizer: Sanitizer,
    name: &str,
    kept: &Path,
) -> Result<(), Failed> {
    let fewer = kept.with_extension("fewer");
    runner.check(&format!("{name}: a folder for fewer inputs"), |_| {
        empty(&fewer).map(|()| String::new()).map_err(in_words)
    })?;
    let merging = start(runner, sanitizer, name, &[&fewer, kept], 0, &["-merge=1"])?;
    runner.wait(merging)?;
    runner.check(&format!("{name}: inputs kept"), |_| {
        let count = |folder: &Path| fs::read_dir(folder).map(Iterator::count).map_err(in_words);
        let (before, after) = (count(kept)?, count(&fewer)?);
        if after == 0 {
            return Err(format!("nothing is left of {before}"));
        }
        fs::remove_dir_all(kept).and_then(|()| fs::rename(&fewer, kept)).map_err(in_words)?;
        Ok(format!("{after} of {before}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{root, target_dir};

    #[test]
    fn the_end_of_a_log_tells_what_was_reached() {
        let folder = target_dir(&root()).join("soak-test");
        empty(&folder).unwrap();
        let log = folder.join("log");
        let text = "4 inputs of fees\nreached a: 1\n8 inputs of fees\nreached a: 2\nreached b: 1\nDone\n\
                    stat::average_exec_per_sec:     70\nstat::peak_rss_mb:   300\n";
        fs::write(&log, text).unwrap();
        let said = told(&log).unwrap();
        assert_eq!(said, "average_exec_per_sec: 70, peak_rss_mb: 300\n    a: 2; b: 1");
        fs::write(folder.join("slow-unit-1"), []).unwrap();
        fs::write(folder.join("crash-2"), [7]).unwrap();
        let failed = failures(&folder).unwrap();
        assert!(failed.contains(&folder.join("crash-2")) && failed.len() == 2, "{failed:?}");
        let filed = file(&folder, "fees", &folder.join("crash-2")).unwrap();
        assert_eq!(fs::read(filed).unwrap(), [7]);
    }
}
