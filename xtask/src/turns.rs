//! Turns of the fuzz targets: whose turn it is, and a page about what they did.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Maximum number of rounds that a target rests.
const LONGEST_REST: u32 = 7;

/// Figures of one turn, from the end of the fuzzer's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Figures {
    /// Executed inputs.
    inputs: u64,
    /// Inputs added to the corpus, including smaller ones that replace others.
    added: u64,
    /// Features reached: branches, with how often they were taken.
    features: u64,
    /// Executed inputs, and features reached, when all stored inputs had been replayed.
    replayed: u64,
    features_before: u64,
    /// Peak memory, in MiB.
    memory: u64,
}

impl Figures {
    /// Reads the figures from the log of a fuzzer.
    pub(crate) fn of(log: &str) -> Self {
        let stat = |name: &str| {
            let lines = log.lines().filter_map(|line| line.strip_prefix(name));
            lines.filter_map(|rest| rest.trim().parse().ok()).next_back().unwrap_or_default()
        };
        let after_ft =
            |line: &str| line.split_once(" ft: ")?.1.split_whitespace().next()?.parse().ok();
        let replayed = log.lines().find(|line| line.contains("\tINITED "));
        let number = |line: &str| {
            let digits = line.strip_prefix('#')?.split('\t').next()?;
            digits.parse().ok()
        };
        Self {
            replayed: replayed.and_then(number).unwrap_or_default(),
            features_before: replayed.and_then(after_ft).unwrap_or_default(),
            inputs: stat("stat::number_of_executed_units:"),
            added: stat("stat::new_units_added:"),
            features: log.lines().filter_map(after_ft).next_back().unwrap_or_default(),
            memory: stat("stat::peak_rss_mb:"),
        }
    }

    /// Returns whether the turn has reached something that the stored inputs do not.
    const fn is_new(&self) -> bool {
        self.features > self.features_before
    }

    /// Fails if the turn of `target` has run fewer than `least` inputs after the stored ones, or
    /// reached nothing new.
    pub(crate) fn judged(self, target: &str, least: u64) -> Result<String, String> {
        let inputs = self.inputs.saturating_sub(self.replayed);
        let Self { features, features_before, .. } = self;
        let text =
            format!("{target}: {inputs} new inputs, {features_before} -> {features} features");
        if inputs < least || !self.is_new() {
            return Err(format!("{text}; at least {least} inputs and a new feature were expected"));
        }
        Ok(text)
    }
}

/// Totals of a target.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    seconds: u64,
    /// Sums over the turns, except for features and memory, which are maxima.
    sum: Figures,
    finds: usize,
    /// Rounds of its last rest.
    rest: u32,
    /// Rounds that it still rests.
    resting: u32,
}

/// The targets that have turns. One that reaches nothing new rests for 1, 3 and then 7 rounds, so
/// that the others have more turns.
#[derive(Debug)]
pub(crate) struct Turns {
    targets: Vec<&'static str>,
    /// Also of targets that have no turns in this call.
    records: BTreeMap<String, Record>,
}

impl Turns {
    /// Creates the turns of `targets`, which go on where `before` ended: what [`Turns::json`]
    /// returned, or nothing.
    ///
    /// # Errors
    /// `before` is something else.
    pub(crate) fn new(targets: &[&'static str], before: &str) -> Result<Self, String> {
        let mut records: BTreeMap<String, Record> = match before {
            "" => BTreeMap::new(),
            text => serde_json::from_str(text).map_err(|error| error.to_string())?,
        };
        for name in targets {
            records.entry((*name).to_owned()).or_default();
        }
        Ok(Self { targets: targets.to_vec(), records })
    }

    /// Returns the records, for [`Turns::new`].
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(&self.records).unwrap_or_default()
    }

    /// Returns the targets of the next round: those that do not rest, and at least `least` if there
    /// are as many.
    pub(crate) fn next_round(&mut self, least: usize) -> Vec<&'static str> {
        let rest = |name: &&str| self.records.get(*name).map_or(0, |record| record.resting);
        let mut rests: Vec<_> = self.targets.iter().map(rest).collect();
        rests.sort_unstable();
        let last = least.min(rests.len()).checked_sub(1);
        let longest = last.and_then(|last| rests.get(last)).copied().unwrap_or(0);
        let mut round = Vec::new();
        for name in &self.targets {
            let Some(record) = self.records.get_mut(*name) else { continue };
            if record.resting <= longest {
                round.push(*name);
            } else {
                record.resting -= 1;
            }
        }
        round
    }

    /// Notes a turn that ended after `seconds` and in which `finds` inputs failed.
    pub(crate) fn note(&mut self, name: &str, seconds: u64, turn: Figures, finds: usize) {
        let Some(record) = self.records.get_mut(name) else { return };
        record.seconds += seconds;
        record.finds += finds;
        record.sum.inputs += turn.inputs;
        record.sum.added += turn.added;
        record.sum.features = record.sum.features.max(turn.features);
        record.sum.memory = record.sum.memory.max(turn.memory);
        record.rest = if turn.is_new() { 0 } else { LONGEST_REST.min(2 * record.rest + 1) };
        record.resting = record.rest;
    }

    /// Returns the page: a Markdown table with a row for each target.
    pub(crate) fn page(&self) -> String {
        let mut page = "\
| target | minutes | inputs | a second | added | features | peak MiB | finds |
|---|---|---|---|---|---|---|---|
"
        .to_owned();
        let ran = self.records.iter().filter(|(_, record)| record.seconds > 0);
        for (name, Record { seconds, sum, finds, .. }) in ran {
            let Figures { inputs, added, features, memory, .. } = sum;
            let (minutes, rate) = (seconds / 60, inputs / (*seconds).max(1));
            let row = format!(
                "| `{name}` | {minutes} | {inputs} | {rate} | {added} | {features} | {memory} | {finds} |"
            );
            let _ = writeln!(page, "{row}");
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_nothing_new_rests_longer_each_time() {
        let mut turns = Turns::new(&["idle", "busy"], "").unwrap();
        let reached = |features| Figures { features, features_before: 9, ..Figures::default() };
        let mut idle = Vec::new();
        for round in 0..16_u64 {
            for name in turns.next_round(1) {
                turns.note(name, 60, reached(if name == "busy" { 10 } else { 9 }), 0);
                if name == "idle" {
                    idle.push(round);
                }
            }
        }
        assert_eq!(idle, [0, 2, 6, 14]);
        // If too many rest, those that rest the least have the next turn.
        let mut turns = Turns::new(&["one", "two", "three"], "").unwrap();
        for _ in 0..9 {
            let round = turns.next_round(2);
            assert!(round.len() >= 2, "{round:?}");
            round.into_iter().for_each(|name| turns.note(name, 60, reached(0), 0));
        }
    }

    #[test]
    fn figures_are_read_from_a_log_and_summed_up_on_the_page() {
        let log = "#2\tINITED cov: 10 ft: 20 corp: 1/1b\n#9 NEW cov: 11 ft: 25 corp: 2/3b\n\
                   stat::number_of_executed_units: 600\nstat::new_units_added:          2\n\
                   stat::peak_rss_mb:              300\n";
        let turn = Figures::of(log);
        let right = Figures {
            inputs: 600,
            added: 2,
            features: 25,
            memory: 300,
            replayed: 2,
            features_before: 20,
        };
        assert_eq!(turn, right);
        let mut turns = Turns::new(&["fees"], "").unwrap();
        turns.note("fees", 60, turn, 0);
        // The next call of the recipe goes on.
        assert!(Turns::new(&["fees"], "{").is_err());
        let mut turns = Turns::new(&["fees", "forks"], &turns.json()).unwrap();
        // Records of targets without turns stay.
        assert_eq!(Turns::new(&["forks"], &turns.json()).unwrap().page(), turns.page());
        turns.note("fees", 60, Figures { memory: 200, ..turn }, 1);
        assert!(turn.judged("fees", 598).is_ok() && turn.judged("fees", 599).is_err());
        assert!(Figures { features: 20, ..turn }.judged("fees", 1).is_err());
        let page = turns.page();
        assert!(page.ends_with("| `fees` | 2 | 1200 | 10 | 4 | 25 | 300 | 1 |\n"), "{page}");
    }
}
