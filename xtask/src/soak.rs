//! For as long as one likes: all targets of the fuzzer by turns, with what they have found kept; or a node
//! whose pool is fed.

use crate::fuzzing::{
    TARGETS, build, chosen, copy_inputs, cores, empty, fuzz_dir, in_words, install, start,
};
use crate::runner::{Failed, Runner};
use crate::workspace::cargo;
use clap::Args;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Seconds for which a failing input is made smaller.
const SHRINK: u64 = 60;

/// For how long is fuzzed, and what.
#[derive(Clone, Debug, Args)]
pub(crate) struct SoakArgs {
    /// For how long in all; until it is interrupted if left out. The last turn is finished
    #[arg(long)]
    pub(crate) minutes: Option<u64>,
    /// How long a turn of each target is
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) turn: u64,
    /// Feed the pool of a node that makes blocks instead, and see that nothing is lost and that its memory stays
    #[arg(long, requires = "minutes", conflicts_with_all = ["target", "turn"])]
    pub(crate) node: bool,
    /// Fuzz this target alone
    #[arg(value_parser = TARGETS)]
    pub(crate) target: Option<String>,
}

/// Lets all targets run by turns, as many at a time as there are cores. Their inputs stay below `target` from
/// one call to the next. What fails is made smaller and becomes a regression test; the others go on.
pub(crate) fn soak(runner: &mut Runner, args: &SoakArgs) -> Result<(), Failed> {
    if args.node {
        return node(runner, args.minutes.unwrap_or(1));
    }
    let end = args.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    install(runner)?;
    let target = args.target.as_deref();
    build(runner, target)?;
    let mut filed = Vec::new();
    loop {
        for together in chosen(target).chunks(cores()) {
            turn(runner, together, args.turn, &mut filed)?;
            if end.is_some_and(|end| Instant::now() >= end) {
                return over(runner, &filed);
            }
        }
    }
}

/// The test of `braid-node` that feeds a pool, for `minutes`.
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

/// One turn of the targets `together`. Then each one's inputs are replaced by the smallest among them that reach
/// as much.
fn turn(
    runner: &mut Runner,
    together: &[&str],
    seconds: u64,
    filed: &mut Vec<PathBuf>,
) -> Result<(), Failed> {
    let dir = fuzz_dir(runner.root());
    let folders = together.iter().map(|name| (*name, dir.join("kept").join(name)));
    let folders: Vec<_> = folders.collect();
    let mut started = Vec::new();
    for (name, kept) in &folders {
        let found = dir.join("found").join(name);
        runner.check(&format!("inputs of {name}"), |root| {
            fs::create_dir_all(kept).and_then(|()| fs::create_dir_all(&found)).map_err(in_words)?;
            copy_inputs(root, name, kept).map_err(in_words)
        })?;
        let found = format!("-artifact_prefix={}/", found.display());
        started.push(start(runner, name, &[kept], seconds, &[&found, "-print_final_stats=1"])?);
    }
    for ((name, kept), fuzzer) in folders.iter().zip(started) {
        let ended = runner.wait(fuzzer);
        let log = dir.join(format!("{name}.log"));
        runner.check(&format!("{name}: what was reached"), |_| told(&log))?;
        let found = failures(&dir.join("found").join(name)).map_err(|_| Failed)?;
        if ended.is_err() && found.is_empty() {
            return Err(Failed);
        }
        for input in found {
            let smaller = shrink(runner, name, &input)?;
            runner.check(&format!("{name}: a regression test"), |root| {
                let path = file(root, name, &smaller).map_err(in_words)?;
                fs::remove_file(&input).map_err(in_words)?;
                filed.push(path.clone());
                Ok(format!("{}: add what went wrong, in a sentence", path.display()))
            })?;
        }
        minimise(runner, name, kept)?;
    }
    Ok(())
}

/// The fuzzer's figures, and what the inputs have reached, from the end of its log.
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

/// Inputs that have failed; slow ones do not count.
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

/// A smaller input that fails too; the same one if none was found in time, or if it fails now and then only.
fn shrink(runner: &mut Runner, name: &str, input: &Path) -> Result<PathBuf, Failed> {
    let smaller = fuzz_dir(runner.root()).join(format!("{name}.smaller"));
    let _ = fs::remove_file(&smaller);
    let exact = format!("-exact_artifact_path={}", smaller.display());
    let flags = ["-minimize_crash=1", &exact];
    let shrinking = start(runner, name, &[input], SHRINK, &flags)?;
    // It ends with an error where the input does not fail again.
    let _ = runner.wait(shrinking);
    Ok(if smaller.is_file() { smaller } else { input.to_owned() })
}

/// Files `input` where the tests of `fuzz` replay it.
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

/// Replaces the inputs in `kept` by the fewest and smallest that reach as much.
fn minimise(runner: &mut Runner, name: &str, kept: &Path) -> Result<(), Failed> {
    let fewer = kept.with_extension("fewer");
    runner.check(&format!("{name}: a folder for fewer inputs"), |_| {
        empty(&fewer).map(|()| String::new()).map_err(in_words)
    })?;
    let merging = start(runner, name, &[&fewer, kept], 0, &["-merge=1"])?;
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
