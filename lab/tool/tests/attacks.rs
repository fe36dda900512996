//! Blocks of an attacker: none exceeds the time limits, except those named here and in
//! docs/SECURITY.md, and none needs more memory than its formula permits.

use braid_blocks::workload::Attack;
use braid_cli::bench::priced::Virtual;
use braid_lab::bench::attacks::{CPU, WALL, attacked};
use serde_json::Value;
use std::{num::NonZeroU16, process::Command};

/// Divisor of the block size: a fourth of each block behaves alike, in a fourth of the time.
const PART: u32 = 4;
const WORKERS: [u16; 2] = [2, 8];

/// Attacks that exceed the limits: the minimum fraction of sequential speed and the maximum
/// processor time, on either number of workers. All of them are chains without a prediction; the
/// cost of detecting that weighs four times as much in a fourth of a block.
const BELOW: [(Attack, f64, f64); 3] = [
    (Attack::OneSlot, 0.7, CPU),
    (Attack::TaughtFree, 0.7, CPU),
    (Attack::Creations, 1.0 / WALL, 2.3),
];

#[test]
fn no_attack_takes_longer_than_is_aimed_at() {
    let workers = WORKERS.map(|count| NonZeroU16::new(count).expect("not zero"));
    let mut wrong = Vec::new();
    for attack in Attack::ALL {
        let found = attacked(attack, (PART, 1), &workers);
        let found = found.unwrap_or_else(|error| panic!("{attack}: {error}"));
        for (count, found) in WORKERS.iter().zip(&found) {
            let Virtual { fresh, learned, runs, .. } = found;
            println!("{attack}, {count} workers: {learned:.3} {fresh:.3} runs {runs:.3}");
            let exception = BELOW.iter().find(|(it, ..)| *it == attack);
            let (least, most) =
                exception.map_or((1.0 / WALL, CPU), |(_, least, most)| (*least, *most));
            if found.slower() < least || *runs > most {
                wrong.push(format!("{attack}, {count} workers: {found:.3?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Virtual time does not show that a shared access costs more. It shows that such calls run
/// sequentially: otherwise their runs would take 1.66 of sequential time.
#[test]
fn calls_that_do_little_else_than_read_are_given_up_early() {
    let two = NonZeroU16::new(2).expect("not zero");
    let found = attacked(Attack::ReadSets, (PART, 1), &[two]).expect("right results");
    assert!(found.iter().all(|found| found.runs <= 1.3), "{found:.3?}");
}

/// Attacks that are measured in processes: those with the most memory. `braid bench attacks
/// --memory` measures the others.
const MEASURED: [&str; 4] = ["floods", "huge read sets", "deep calls", "largest creations"];

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_below_what_the_formula_says() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid-lab"));
    command.args(["bench", "attacks", "--memory", "--json", "--part", "4"]).args(MEASURED);
    let output = command.output().expect("the tool starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let lines: Vec<Value> = lines.collect();
    assert_eq!(lines.len(), WORKERS.len() * MEASURED.len(), "{text}");
    let mut is_near = false;
    for line in &lines {
        let [bytes, most] = ["bytes", "most_bytes"].map(|name| line[name].as_u64().expect("bytes"));
        assert!(0 < bytes && bytes <= most, "{line}");
        is_near |= most < 8 * bytes;
    }
    // A formula far above the measurement says nothing.
    assert!(is_near, "{text}");
}

/// Two attacks with real clocks: their figures must be consistent, whatever the load on the
/// machine.
#[test]
fn attacks_are_timed_by_the_clock() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid-lab"));
    command.args(["bench", "attacks", "--clock", "--json", "--part", "40", "--rounds", "3"]);
    let output = command.args(["--workers", "1,2", "one slot", "list wrong"]).output();
    let output = output.expect("the tool starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let lines: Vec<Value> = lines.collect();
    let of = |name: &str| lines.iter().map(|line| line[name].to_string()).collect::<Vec<_>>();
    assert_eq!(of("workers"), ["1", "2", "1", "2"]);
    assert_eq!(of("transactions"), ["50", "50", "25", "25"]);
    for line in &lines {
        let number = |name: &str| line[name].as_f64().expect("a number");
        let [sequential, learned, fresh] = ["sequential_ms", "learned_ms", "fresh_ms"].map(number);
        let cpu = ["sequential_cpu_ms", "learned_cpu_ms", "fresh_cpu_ms"].map(number);
        assert!(sequential > 0.0 && learned > 0.0 && fresh > 0.0, "{line}");
        assert!(cpu.iter().all(|time| *time > 0.0), "{line}");
        let is = |name: &str, wanted: f64| (number(name) / wanted - 1.0).abs() < 1e-6;
        assert!(is("learned", sequential / learned) && is("fresh", sequential / fresh), "{line}");
        assert!(is("cpu", cpu[1].max(cpu[2]) / cpu[0]), "{line}");
        let kept = learned.max(fresh) <= WALL * sequential + 0.1 && number("cpu") <= CPU;
        assert_eq!(line["kept"], kept, "{line}");
    }
    for wrong in [&["--rounds", "3"][..], &["--clock", "--memory"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_braid-lab"));
        let output = command.args(["bench", "attacks"]).args(wrong).output();
        assert_eq!(output.expect("the tool starts").status.code(), Some(2), "{wrong:?}");
    }
}
