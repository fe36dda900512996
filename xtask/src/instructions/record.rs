//! Prints, records and compares instruction counts.

use serde_json::json;
use std::fmt::Write as _;

/// Maximum difference of a ratio from its record if blocks run sequentially, in thousandths.
const IN_ORDER: f64 = 10.0;
/// Same, if speculation is forced: more hash maps make allocations vary.
const FORCED: f64 = 30.0;

/// Instructions of one execution of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) name: String,
    pub(super) sequential: u64,
    pub(super) braid: u64,
}

impl Count {
    /// Returns Braid's instructions divided by sequential ones; below 1, Braid needs fewer.
    fn ratio(&self) -> f64 {
        self.braid as f64 / self.sequential.max(1) as f64
    }

    fn is_forced(&self) -> bool {
        self.name.ends_with(" speculative")
    }

    fn tolerance(&self) -> f64 {
        if self.is_forced() { FORCED } else { IN_ORDER }
    }
}

/// Parses a record, and returns its setting and its counts.
pub(super) fn parse(record: &str) -> (String, Vec<Count>) {
    let mut lines = record.lines().filter(|line| !line.starts_with('#'));
    let setting = lines.next().unwrap_or_default().to_owned();
    let counts = lines.filter_map(|line| {
        let mut words = line.rsplitn(4, ' ');
        let (_ratio, braid, sequential) = (words.next()?, words.next()?, words.next()?);
        let name = words.next()?.to_owned();
        Some(Count { name, sequential: sequential.parse().ok()?, braid: braid.parse().ok()? })
    });
    (setting, counts.collect())
}

pub(super) fn text(setting: &str, counts: &[Count]) -> String {
    let mut text = String::from(
        "# Instructions of one execution on one worker: sequential revm, Braid, Braid over sequential. Written by\n\
         # `cargo xtask instructions --update`; a change needs its reason in CHANGELOG.md.\n",
    );
    let _ = writeln!(text, "{setting}");
    for count @ Count { name, sequential, braid } in counts {
        let _ = writeln!(text, "{name} {sequential} {braid} {:.3}", count.ratio());
    }
    text
}

/// Returns the counts as JSON, with an entry for each row.
pub(super) fn json(counts: &[Count]) -> String {
    let row = |count: &Count| {
        let Count { name, sequential, braid } = count;
        let (forced, ratio) = (count.is_forced(), count.ratio());
        json!({ "name": name, "sequential": sequential, "braid": braid, "ratio": ratio, "forced": forced })
    };
    let rows: Vec<_> = counts.iter().map(row).collect();
    let [in_order, forced] = [false, true].map(|forced| {
        summary(counts, forced).map(|(median, worst)| json!({ "median": median, "worst": worst }))
    });
    format!("{}\n", json!({ "rows": rows, "in_order": in_order, "forced": forced }))
}

/// Returns a table with a line for each row.
pub(super) fn table(counts: &[Count]) -> String {
    let mut table =
        format!("{:<40} {:>13} {:>13} {:>7}\n", "instructions", "sequential", "braid", "ratio");
    for count @ Count { name, sequential, braid } in counts {
        let _ = writeln!(table, "{name:<40} {sequential:>13} {braid:>13} {:>7.3}", count.ratio());
    }
    table
}

/// Returns the median and worst ratio of the rows that run sequentially or, with `forced`,
/// speculatively.
fn summary(counts: &[Count], forced: bool) -> Option<(f64, f64)> {
    let rows = counts.iter().filter(|count| count.is_forced() == forced);
    let mut ratios: Vec<f64> = rows.map(Count::ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let upper = *ratios.get(ratios.len() / 2)?;
    let lower = *ratios.get(ratios.len().saturating_sub(1) / 2)?;
    Some(((lower + upper) / 2.0, *ratios.last()?))
}

/// Returns the summaries as text.
pub(super) fn listed(counts: &[Count]) -> String {
    let words = [(false, "sequentially"), (true, "forced to speculate")].into_iter();
    let words = words.filter_map(|(forced, words)| {
        let (median, worst) = summary(counts, forced)?;
        Some(format!("{words}: median {median:.3}, worst {worst:.3}"))
    });
    words.collect::<Vec<_>>().join("; ")
}

/// Fails if a ratio differs too much from its record, and lists such rows. Fewer instructions fail
/// too, because a record that is too high would hide the next regression. `is_whole` says that
/// every row of the record was counted, and `slack` adds to the tolerance.
pub(super) fn compare(
    recorded: &[Count],
    found: &[Count],
    is_whole: bool,
    slack: f64,
) -> Result<(), String> {
    let mut wrong = Vec::new();
    let is_lost = |known: &&Count| !found.iter().any(|count| count.name == known.name);
    let lost = recorded.iter().filter(|known| is_whole && is_lost(known));
    wrong.extend(lost.map(|known| format!("{}: not counted any more", known.name)));
    for count in found {
        let (name, now) = (&count.name, count.ratio());
        let known = recorded.iter().find(|known| known.name == *name).map(Count::ratio);
        let Some(known) = known else {
            wrong.push(format!("{name}: no record, found {now:.3}"));
            continue;
        };
        let change = now * 1_000.0 / known.max(f64::MIN_POSITIVE) - 1_000.0;
        if change.abs() > count.tolerance() + slack {
            wrong.push(format!("{name}: {known:.3} -> {now:.3} ({:+.1} %)", change / 10.0));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}; if intended, run `cargo xtask instructions --update` and give the reason in CHANGELOG.md",
        wrong.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns two rows, one sequential and one forced to speculate.
    fn counts([one, other]: [u64; 2]) -> Vec<Count> {
        let count = |name: &str, braid| Count { name: name.to_owned(), sequential: 10_000, braid };
        vec![count("one", one), count("other speculative", other)]
    }

    #[test]
    fn a_ratio_that_moves_fails() {
        let recorded = counts([10_000, 12_000]);
        assert_eq!(compare(&recorded, &counts([10_090, 12_340]), true, 0.0), Ok(()));
        for (found, change) in [([10_110, 12_000], "+1.1 %"), ([9_890, 12_000], "-1.1 %")] {
            let why = compare(&recorded, &counts(found), true, 0.0).unwrap_err();
            assert!(why.contains("one: 1.000") && why.contains(change), "{why}");
            assert!(!why.contains("other"), "{why}");
            assert_eq!(compare(&recorded, &counts(found), true, 6.0), Ok(()));
        }
        let why = compare(&recorded, &counts([10_000, 12_400]), true, 0.0).unwrap_err();
        assert!(why.contains("other speculative: 1.200 -> 1.240 (+3.3 %)"), "{why}");
        let why = compare(&recorded[..1], &recorded, true, 0.0).unwrap_err();
        assert!(why.contains("other speculative: no record"), "{why}");
        let why = compare(&recorded, &recorded[..1], true, 0.0).unwrap_err();
        assert!(why.contains("other speculative: not counted any more"), "{why}");
        assert_eq!(compare(&recorded, &recorded[..1], false, 0.0), Ok(()));
    }

    #[test]
    fn a_record_reads_back() {
        let recorded = counts([7, 8]);
        let (setting, read) = parse(&text("rustc 1.95.0 (abc)", &recorded));
        assert_eq!((setting.as_str(), read), ("rustc 1.95.0 (abc)", recorded));
        assert_eq!(parse(""), (String::new(), Vec::new()));
    }

    #[test]
    fn medians_are_of_rows_of_one_kind() {
        let mut all = counts([10_000, 13_000]);
        all.push(Count { name: "third".to_owned(), sequential: 10, braid: 12 });
        assert_eq!(
            listed(&all),
            "sequentially: median 1.100, worst 1.200; forced to speculate: median 1.300, worst 1.300"
        );
    }
}
