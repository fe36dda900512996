//! Turns of the fuzz targets: whose turn it is, and a page about what they did.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Maximum number of rounds that a target rests.
const LONGEST_REST: u32 = 7;

/// Figures of one turn, from the end of the fuzzer's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Executed inputs.
    inputs: u64,
    /// Inputs that reached something new.
    new: u64,
    /// Features reached: branches, with how often they were taken.
    features: u64,
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
        Self {
            inputs: stat("stat::number_of_executed_units:"),
            new: stat("stat::new_units_added:"),
            features: log.lines().filter_map(after_ft).next_back().unwrap_or_default(),
            memory: stat("stat::peak_rss_mb:"),
        }
    }
}

/// What the turns of a target have come to.
#[derive(Clone, Debug, Default)]
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

/// The targets that have turns. One that finds nothing new rests for 1, 3 and then 7 rounds, so that
/// the others have more turns.
#[derive(Debug)]
pub(crate) struct Turns(BTreeMap<&'static str, Record>);

impl Turns {
    pub(crate) fn new(targets: impl IntoIterator<Item = &'static str>) -> Self {
        Self(targets.into_iter().map(|name| (name, Record::default())).collect())
    }

    /// Returns the targets of the next round: at least one.
    pub(crate) fn next_round(&mut self) -> Vec<&'static str> {
        let least = self.0.values().map(|record| record.resting).min().unwrap_or_default();
        let mut round = Vec::new();
        for (name, record) in &mut self.0 {
            record.resting -= least;
            match record.resting.checked_sub(1) {
                Some(rounds) => record.resting = rounds,
                None => round.push(*name),
            }
        }
        round
    }

    /// Notes a turn of `seconds` in which `finds` inputs failed.
    pub(crate) fn note(&mut self, name: &str, seconds: u64, turn: Figures, finds: usize) {
        let Some(record) = self.0.get_mut(name) else { return };
        record.seconds += seconds;
        record.finds += finds;
        record.sum.inputs += turn.inputs;
        record.sum.new += turn.new;
        record.sum.features = record.sum.features.max(turn.features);
        record.sum.memory = record.sum.memory.max(turn.memory);
        record.rest = if turn.new > 0 { 0 } else { LONGEST_REST.min(2 * record.rest + 1) };
        record.resting = record.rest;
    }

    /// Returns the page: a Markdown table with a row for each target.
    pub(crate) fn page(&self) -> String {
        let mut page = "\
| target | minutes | inputs | a second | new inputs | features | peak MiB | finds |
|---|---|---|---|---|---|---|---|
"
        .to_owned();
        for (name, Record { seconds, sum, finds, .. }) in &self.0 {
            let Figures { inputs, new, features, memory } = sum;
            let (minutes, rate) = (seconds / 60, inputs / (*seconds).max(1));
            let row = format!(
                "| `{name}` | {minutes} | {inputs} | {rate} | {new} | {features} | {memory} | {finds} |"
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
        let mut turns = Turns::new(["idle", "busy"]);
        let new = |new| Figures { new, ..Figures::default() };
        let mut idle = Vec::new();
        for round in 0..16 {
            for name in turns.next_round() {
                turns.note(name, 60, new(u64::from(name == "busy")), 0);
                if name == "idle" {
                    idle.push(round);
                }
            }
        }
        assert_eq!(idle, [0, 2, 6, 14]);
        // If all rest, the ones that rest the least have the next turn.
        let mut turns = Turns::new(["one", "other"]);
        for _ in 0..9 {
            let round = turns.next_round();
            assert!(!round.is_empty());
            round.into_iter().for_each(|name| turns.note(name, 60, new(0), 0));
        }
    }

    #[test]
    fn figures_are_read_from_a_log_and_summed_up_on_the_page() {
        let log = "#2 INITED cov: 10 ft: 20 corp: 1/1b\n#9 NEW cov: 11 ft: 25 corp: 2/3b\n\
                   stat::number_of_executed_units: 600\nstat::new_units_added:          2\n\
                   stat::peak_rss_mb:              300\n";
        let turn = Figures::of(log);
        assert_eq!(turn, Figures { inputs: 600, new: 2, features: 25, memory: 300 });
        let mut turns = Turns::new(["fees"]);
        turns.note("fees", 60, turn, 0);
        turns.note("fees", 60, Figures { memory: 200, ..turn }, 1);
        let page = turns.page();
        assert!(page.ends_with("| `fees` | 2 | 1200 | 10 | 4 | 25 | 300 | 1 |\n"), "{page}");
    }
}
