//! Executes random blocks with `braid-lab t8n` and the executable specification, and compares all
//! results.
//!
//! `spec --lab TOOL --python PYTHON [--cases N] [--first SEED] [--old]`. Half of the cases contain
//! a transaction that is rejected. At the end, the input of one of the two is changed, and the
//! comparison must notice it.

use braid_fuzz::spec::{Case, FORKS, Forks, OLD_FORKS, Oddities, Signers, case, differences};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

/// Numbers of workers for the tool, in turn.
const WORKERS: [&str; 3] = ["3", "2", "8"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the value of an option of the command line.
fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn number(name: &str, default: u64) -> Result<u64, String> {
    option(name).map_or(Ok(default), |text| text.parse().map_err(|_| format!("{name} {text}")))
}

#[derive(Debug, Default)]
struct Totals {
    transactions: usize,
    rejected: usize,
    with_rejected: u64,
    requests: usize,
    forks: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, case: &Case, printed: &Value) {
        let count = |value: &Value| value.as_array().map_or(0, Vec::len);
        let rejected = count(&printed["result"]["rejected"]);
        self.transactions += count(&case.input["txs"]);
        self.rejected += rejected;
        self.with_rejected += u64::from(rejected > 0);
        self.requests += count(&printed["result"]["requests"]);
        *self.forks.entry(case.fork).or_default() += 1;
    }
}

fn run() -> Result<(), String> {
    let lab = option("--lab").ok_or("--lab TOOL is missing")?;
    let python = option("--python").ok_or("--python PYTHON is missing")?;
    let (cases, first) = (number("--cases", 60)?, number("--first", 0)?);
    let old = std::env::args().any(|argument| argument == "--old");
    let forks = if old { &OLD_FORKS } else { &FORKS };
    let mut specification = Specification::start(&python)?;
    let signers = Signers::default();
    let mut totals = Totals::default();
    let mut failed = 0;
    for seed in first..first + cases {
        let case = case(seed, forks, &signers, seed % 2 == 1);
        let theirs = specification.run(&case)?;
        let ours = run_lab(&lab, &case, WORKERS[(seed % 3) as usize])?;
        let different = compare(&ours, &theirs);
        if !different.is_empty() {
            failed += 1;
            println!("seed {seed}, {}: {}", case.fork, different.join("\n    "));
            keep(seed, &case, &ours, &theirs)?;
        }
        totals.add(&case, &ours);
    }
    control(&lab, &mut specification, forks, first)?;
    let Totals { transactions, rejected, with_rejected, requests, forks } = totals;
    println!(
        "{cases} cases, {failed} different; {transactions} transactions, {rejected} rejected in \
         {with_rejected} cases, {requests} requests; {forks:?}"
    );
    if failed > 0 {
        return Err(format!("{failed} of {cases} cases differ (--first SEED --cases 1 replays)"));
    }
    if cases >= 60 && (with_rejected < cases / 3 || (requests == 0 && !old)) {
        return Err("too little came about: hardly any rejection, or no request".to_owned());
    }
    Ok(())
}

fn compare(ours: &Value, theirs: &Value) -> Vec<String> {
    if !theirs["failed"].is_null() {
        return vec![format!("the specification failed: {}", theirs["failed"])];
    }
    differences(ours, theirs, Oddities { rejected_stay_in_tries: true })
}

/// Writes inputs and outputs that differ to the folder in the environment variable, if it is set.
fn keep(seed: u64, case: &Case, ours: &Value, theirs: &Value) -> Result<(), String> {
    let Some(folder) = std::env::var_os("BRAID_SPEC_KEEP") else { return Ok(()) };
    let parts = [("input", &case.input), ("braid", ours), ("specification", theirs)];
    parts.into_iter().try_for_each(|(name, value)| {
        let path = std::path::Path::new(&folder).join(format!("{seed}-{name}.json"));
        std::fs::write(&path, format!("{value:#}"))
            .map_err(|error| format!("{}: {error}", path.display()))
    })
}

/// Gives one of the two tools one wei more: the comparison must notice it.
fn control(
    lab: &str,
    specification: &mut Specification,
    forks: &Forks,
    seed: u64,
) -> Result<(), String> {
    let case = case(seed, forks, &Signers::default(), false);
    let theirs = specification.run(&case)?;
    let mut changed = case;
    let stranger = json!({"0x00000000000000000000000000000000deadbeef": {"balance": "0x1"}});
    if let (Some(alloc), Some(more)) =
        (changed.input["alloc"].as_object_mut(), stranger.as_object())
    {
        alloc.extend(more.clone());
    }
    let ours = run_lab(lab, &changed, "2")?;
    if compare(&ours, &theirs).is_empty() {
        return Err("one wei too much was not noticed".to_owned());
    }
    println!("control: one wei too much was noticed");
    Ok(())
}

fn run_lab(lab: &str, case: &Case, workers: &str) -> Result<Value, String> {
    let reward = case.reward.to_string();
    let mut child = Command::new(lab)
        .args(["t8n", "--input.alloc=stdin", "--input.env=stdin", "--input.txs=stdin"])
        .args(["--output.alloc=stdout", "--output.result=stdout", "--output.body=stdout"])
        .args(["--state.fork", case.fork, "--state.chainid", "1", "--state.reward", &reward])
        .args(["--policy", "speculative", "--workers", workers])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{lab}: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        let sent = input.write_all(case.input.to_string().as_bytes());
        sent.map_err(|error| format!("{lab}: {error}"))?;
    }
    let output = child.wait_with_output().map_err(|error| format!("{lab}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{lab} t8n on {}: {}", case.fork, output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{lab}: {error}"))
}

/// The executable specification, in its own process.
struct Specification {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Specification {
    fn start(python: &str) -> Result<Self, String> {
        let mut child = Command::new(python)
            .args(["-c", include_str!("../spec/specification.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{python}: {error}"))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => {
                Ok(Self { child, input, output: BufReader::new(output) })
            }
            _ => Err(format!("{python} has no streams")),
        }
    }

    fn run(&mut self, case: &Case) -> Result<Value, String> {
        let request = json!({"fork": case.fork, "reward": case.reward, "input": case.input});
        let mut line = String::new();
        writeln!(self.input, "{request}")
            .and_then(|()| self.input.flush())
            .and_then(|()| self.output.read_line(&mut line))
            .map_err(|error| format!("the specification: {error}"))?;
        serde_json::from_str(&line).map_err(|error| format!("the specification: {error}: {line}"))
    }
}

impl Drop for Specification {
    fn drop(&mut self) {
        // No request is pending.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
