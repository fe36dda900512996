//! Measures how long the fuzzer takes to find seeded bugs, beside random bytes.

use crate::fuzzing::{Sanitizer, build, copy_inputs, empty, fuzz_dir, fuzzer, in_words};
use crate::runner::{Failed, Runner};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Table of the seeded bugs that the fuzzer must find. The last two columns are measured.
const TABLE: &str = "docs/data/fuzz_teeth.tsv";
/// Environment variable with the seeded bug of a fuzzer.
const BUG: &str = "BRAID_SEEDED_BUG";
/// Environment variable that makes a fuzzer run random bytes instead of the ones that it is given.
const RANDOM: &str = "BRAID_RANDOM_BYTES";
/// Beginnings of the names of inputs that are known to find a seeded bug.
const KNOWN: [&str; 2] = ["notices", "finds"];

/// A row of the table.
struct Row {
    target: String,
    bug: String,
    guided: String,
    random: String,
}

/// Runs two fuzzers on each seeded bug of `target`, or of all targets, for at most `seconds`: one
/// starts from the committed inputs, except those named after a seeded bug, and is guided by
/// coverage; the other one runs random bytes and stops when the first has found the bug. The times
/// are written into the table.
pub(crate) fn teeth(
    runner: &mut Runner,
    sanitizer: Sanitizer,
    target: Option<&str>,
    seconds: u64,
) -> Result<(), Failed> {
    let targets = sanitizer.targets(runner, target)?;
    build(runner, sanitizer, &targets)?;
    let (mut head, mut rows) = (String::new(), Vec::new());
    runner.check("seeded bugs for the fuzzer", |root| {
        let text = fs::read_to_string(root.join(TABLE)).map_err(in_words)?;
        let mut lines = text.lines();
        head = lines.next().unwrap_or_default().to_owned();
        rows = lines.map(Row::read).collect::<Result<Vec<_>, _>>()?;
        Ok(format!("{} in {TABLE}", rows.len()))
    })?;
    let mut missed = Vec::new();
    for index in 0..rows.len() {
        let row = &mut rows[index];
        if !targets.contains(&row.target.as_str()) {
            continue;
        }
        runner.check(&format!("{}: {}", row.target, row.bug), |root| {
            let (guided, random) = race(root, sanitizer, row, Duration::from_secs(seconds))?;
            if guided.is_none() {
                missed.push(format!("{}: {}", row.target, row.bug));
            }
            let limit = guided.map_or(seconds as f64, |find| find.seconds);
            (row.guided, row.random) = (shown(guided, limit), shown(random, limit));
            Ok(format!("guided: {}; random bytes: {}", row.guided, row.random))
        })?;
        runner.check("table", |root| {
            let lines = rows.iter().map(Row::line);
            let text: String =
                [head.clone()].into_iter().chain(lines).map(|line| line + "\n").collect();
            fs::write(root.join(TABLE), text).map_err(in_words)?;
            Ok(TABLE.to_owned())
        })?;
    }
    runner.check("seeded bugs that the fuzzer misses", |_| match missed.is_empty() {
        true => Ok("none".to_owned()),
        false => Err(missed.join(", ")),
    })
}

impl Row {
    fn read(line: &str) -> Result<Self, String> {
        let cells: Vec<_> = line.split('\t').map(str::to_owned).collect();
        let [target, bug, guided, random] =
            cells.try_into().map_err(|_| format!("not four cells: {line}"))?;
        let bare = |name: String| name.trim_matches('`').to_owned();
        Ok(Self { target: bare(target), bug: bare(bug), guided, random })
    }

    fn line(&self) -> String {
        format!("`{}`\t`{}`\t{}\t{}", self.target, self.bug, self.guided, self.random)
    }
}

/// Time and inputs until a find.
#[derive(Clone, Copy)]
struct Find {
    seconds: f64,
    /// Number of inputs run until then.
    inputs: u64,
}

fn shown(find: Option<Find>, limit: f64) -> String {
    match find {
        Some(Find { seconds, inputs: 1 }) => format!("1 input, {seconds:.1} s"),
        Some(Find { seconds, inputs }) => format!("{inputs} inputs, {seconds:.1} s"),
        None => format!("not in {limit:.1} s"),
    }
}

/// A fuzzer that looks for a seeded bug, and ends when it finds it.
struct Search {
    child: Child,
    begun: Instant,
    log: PathBuf,
}

impl Search {
    fn start(mut command: Command, log: PathBuf) -> Result<Self, String> {
        let file = File::create(&log).map_err(in_words)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let child = command.spawn().map_err(in_words)?;
        Ok(Self { child, begun: Instant::now(), log })
    }

    /// Returns `None` while it runs, and then its find, if it has found the bug.
    fn ended(&mut self) -> Result<Option<Option<Find>>, String> {
        let Some(status) = self.child.try_wait().map_err(in_words)? else { return Ok(None) };
        if status.success() {
            return Ok(Some(None));
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        let log = fs::read(&self.log).map_err(in_words)?;
        let inputs = inputs_in(&String::from_utf8_lossy(&log))
            .ok_or_else(|| format!("it ended without a find: {}", self.log.display()))?;
        Ok(Some(Some(Find { seconds, inputs })))
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the number of inputs that a fuzzer has run until its find, by the end of its log; `None`
/// if it has ended for another reason.
fn inputs_in(log: &str) -> Option<u64> {
    let stat = "stat::number_of_executed_units:";
    let mut counts = log.lines().filter_map(|line| line.strip_prefix(stat)?.trim().parse().ok());
    counts.next_back().filter(|_| log.contains("ERROR: libFuzzer"))
}

/// Returns the finds of the two fuzzers.
fn race(
    root: &Path,
    sanitizer: Sanitizer,
    row: &Row,
    limit: Duration,
) -> Result<(Option<Find>, Option<Find>), String> {
    let folder = fuzz_dir(root).join("teeth");
    let (inputs, finds, nothing) =
        (folder.join("inputs"), folder.join("finds"), folder.join("nothing"));
    for path in [&folder, &inputs, &finds, &nothing] {
        empty(path).map_err(in_words)?;
    }
    copy_inputs(root, &row.target, &inputs).map_err(in_words)?;
    for entry in fs::read_dir(&inputs).map_err(in_words)? {
        let entry = entry.map_err(in_words)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if KNOWN.iter().any(|known| name.starts_with(known)) {
            fs::remove_file(entry.path()).map_err(in_words)?;
        }
    }
    let search = |name: &str, corpus: &Path, random: bool| {
        let mut command = fuzzer(root, sanitizer, &row.target);
        command.arg(corpus).env(BUG, &row.bug);
        command.arg(format!("-max_total_time={}", limit.as_secs()));
        command.arg(format!("-artifact_prefix={}/", finds.display()));
        // A block that does not end is a find.
        command.args(["-timeout=20", "-seed=1"]);
        if random {
            command.env(RANDOM, "1");
        }
        Search::start(command, folder.join(format!("{name}.log")))
    };
    let (mut guided, mut random) =
        (search("guided", &inputs, false)?, search("random", &nothing, true)?);
    let mut by_chance = None;
    loop {
        thread::sleep(Duration::from_millis(20));
        if by_chance.is_none() {
            by_chance = random.ended()?;
        }
        if let Some(found) = guided.ended()? {
            return Ok((found, by_chance.flatten()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, TABLE, inputs_in};
    use crate::fuzzing::TARGETS;
    use crate::workspace::root;

    #[test]
    fn the_inputs_until_a_find_are_read_from_the_log() {
        let log = "==1== ERROR: libFuzzer: deadly signal\nstat::number_of_executed_units: 19\n";
        assert_eq!(inputs_in(log), Some(19));
        assert_eq!(inputs_in("error while loading shared libraries"), None);
    }

    #[test]
    fn every_target_has_five_seeded_bugs() {
        let text = std::fs::read_to_string(root().join(TABLE)).unwrap();
        let rows: Vec<_> = text.lines().skip(1).map(|line| Row::read(line).unwrap()).collect();
        for target in TARGETS {
            assert!(rows.iter().filter(|row| row.target == target).count() >= 5, "{target}");
        }
        assert!(rows.iter().all(|row| TARGETS.contains(&row.target.as_str())));
        let lines: Vec<_> = rows.iter().map(Row::line).collect();
        assert_eq!(lines, text.lines().skip(1).collect::<Vec<_>>());
    }
}
