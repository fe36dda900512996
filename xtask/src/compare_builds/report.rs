//! Prints the comparison of two builds.

use super::statistics::{Change, Measured, Pair, Sample, Setting, quantile};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Blocks below this many milliseconds also get their overhead in microseconds.
const SHORT_MS: f64 = 1.0;
/// Maximum number of slower blocks in the report.
const NAMED: usize = 10;

type Side = fn(&Pair) -> Sample;
const SIDES: [(&str, Side); 2] = [("old", |pair| pair.old), ("new", |pair| pair.new)];

/// Groups the measurements by setting.
fn settings(measured: &[Measured]) -> Vec<(Setting, Vec<&Measured>)> {
    let all: BTreeSet<_> = measured.iter().map(|it| it.setting).collect();
    let of = |setting| measured.iter().filter(|it| it.setting == setting).collect();
    all.into_iter().map(|setting| (setting, of(setting))).collect()
}

fn words(setting: Setting) -> String {
    let Setting { workers, learns } = setting;
    let (s, how) =
        (if workers == 1 { "" } else { "s" }, if learns { "learned" } else { "first seen" });
    format!("{workers} worker{s}, {how}")
}

fn interval(change: Change) -> String {
    change.interval.map_or(String::new(), |[low, high]| format!(" ({low:.3} to {high:.3})"))
}

/// Returns the difference of a build from itself, in one line for each setting.
pub(super) fn noise(measured: &[Measured]) -> String {
    let line = |(setting, blocks): (Setting, Vec<&Measured>)| {
        let (change, single) =
            (Change::of(&blocks), |part| quantile(blocks.iter().map(|it| it.change()), part));
        format!(
            "{}: {:.3}{}, single blocks {:.2} to {:.2}",
            words(setting),
            change.mean,
            interval(change),
            single(0.0),
            single(1.0)
        )
    };
    settings(measured).into_iter().map(line).collect::<Vec<_>>().join("\n    ")
}

/// Returns the figures of each setting, then the blocks that lost most.
pub(super) fn text(measured: &[Measured]) -> String {
    let mut text = String::new();
    for (setting, blocks) in settings(measured) {
        let change = Change::of(&blocks);
        let _ = writeln!(
            text,
            "{}, {} blocks: new : old {:.3}{}",
            words(setting),
            blocks.len(),
            change.mean,
            interval(change)
        );
        for (name, side) in SIDES {
            let figures = Figures::of(&blocks, side);
            let _ = writeln!(text, "  {name}: {figures}");
        }
    }
    let _ = writeln!(text, "largest slowdowns:");
    for block in slowest(measured) {
        let _ = writeln!(
            text,
            "  {:<24} {:<22} new : old {:.3}, now {:.2} times as fast as sequential, {:.2} ms",
            block.name,
            words(block.setting),
            block.change(),
            block.median(|pair| pair.new.ratio()),
            block.sequential_ms()
        );
    }
    text
}

/// Returns the blocks that the new build slows down most, each in the setting where it does.
fn slowest(measured: &[Measured]) -> Vec<&Measured> {
    let mut slower: Vec<_> = measured.iter().filter(|it| it.change() < 1.0).collect();
    slower.sort_by(|one, other| one.change().total_cmp(&other.change()));
    let mut names = BTreeSet::new();
    slower.retain(|it| names.insert(&it.name));
    slower.truncate(NAMED);
    slower
}

/// Figures of one build relative to sequential revm.
struct Figures {
    quartiles: [f64; 3],
    below: [usize; 2],
    cpu: f64,
    /// Median and maximum overhead on short blocks over sequential execution, in microseconds.
    overhead_us: Option<[f64; 2]>,
}

impl Figures {
    fn of(blocks: &[&Measured], side: Side) -> Self {
        let ratio = |block: &&Measured| block.median(|pair| side(pair).ratio());
        let below = |limit: f64| blocks.iter().filter(|block| ratio(block) < limit).count();
        let overheads: Vec<f64> = blocks
            .iter()
            .filter(|block| block.sequential_ms() < SHORT_MS)
            .map(|block| {
                1_000.0 * block.median(|pair| side(pair).braid_ms - side(pair).sequential_ms)
            })
            .collect();
        let overhead = |part| quantile(overheads.iter().copied(), part);
        Self {
            quartiles: [0.25, 0.5, 0.75].map(|part| quantile(blocks.iter().map(ratio), part)),
            below: [below(1.0), below(0.97)],
            cpu: quantile(blocks.iter().map(|it| it.median(|pair| side(pair).cpu)), 0.5),
            overhead_us: (!overheads.is_empty()).then(|| [overhead(0.5), overhead(1.0)]),
        }
    }

    fn json(&self) -> Value {
        let Self { quartiles, below: [below_1, below_097], cpu, overhead_us } = self;
        json!({
            "quartiles": quartiles,
            "below_1": below_1,
            "below_0.97": below_097,
            "cpu": cpu,
            "short_overhead_us": overhead_us,
        })
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { quartiles: [lower, middle, upper], below: [one, less], cpu, overhead_us } = self;
        write!(
            f,
            "quartiles {lower:.2} {middle:.2} {upper:.2}; {one} below 1.0, {less} below 0.97; \
             processor time {cpu:.2}"
        )?;
        if let Some([median, worst]) = overhead_us {
            write!(f, "; overhead below 1 ms: median {median:.0} us, worst {worst:.0} us")?;
        }
        Ok(())
    }
}

/// Returns all measurements and figures as JSON.
pub(super) fn json(noise: &[Measured], measured: &[Measured]) -> String {
    let change = |blocks: &[&Measured]| {
        let Change { mean, interval, .. } = Change::of(blocks);
        json!({ "mean": mean, "interval": interval })
    };
    let sample =
        |it: &Sample| json!({ "seq_ms": it.sequential_ms, "braid_ms": it.braid_ms, "cpu": it.cpu });
    let block = |block: &&Measured| {
        let pairs = block.pairs.iter();
        let pairs: Vec<_> = pairs
            .map(|pair| json!({ "old": sample(&pair.old), "new": sample(&pair.new) }))
            .collect();
        json!({ "name": block.name, "change": block.change(), "pairs": pairs })
    };
    let setting = |(setting, blocks): (Setting, Vec<&Measured>)| {
        let [old, new] = SIDES.map(|(_, side)| Figures::of(&blocks, side).json());
        let same = noise.iter().filter(|it| it.setting == setting);
        json!({
            "workers": setting.workers,
            "learned": setting.learns,
            "noise": change(&same.collect::<Vec<_>>()),
            "change": change(&blocks),
            "old": old,
            "new": new,
            "blocks": blocks.iter().map(block).collect::<Vec<_>>(),
        })
    };
    let all: Vec<_> = settings(measured).into_iter().map(setting).collect();
    format!("{}\n", json!({ "settings": all }))
}

/// Fails if the new build is slower in any setting, by more than the noise.
pub(super) fn judge(noise: &[Measured], measured: &[Measured]) -> Result<String, String> {
    let slower = |(setting, blocks): (Setting, Vec<&Measured>)| {
        let change = Change::of(&blocks);
        let same: Vec<_> = noise.iter().filter(|it| it.setting == setting).collect();
        let words = format!("{}: {:.3}{}", words(setting), change.mean, interval(change));
        change.is_loss(Change::of(&same)).then_some(words)
    };
    let slower: Vec<_> = settings(measured).into_iter().filter_map(slower).collect();
    if slower.is_empty() {
        return Ok("no significant slowdown".to_owned());
    }
    Err(format!("the new build is slower: {}", slower.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::super::statistics::block;
    use super::*;

    #[test]
    fn the_report_names_what_lost() {
        let all =
            [block("a", &[(1.0, 0.5)]), block("b", &[(1.0, 0.52)]), block("c", &[(1.0, 0.51)])];
        let printed = text(&all);
        let first = "1 worker, learned, 3 blocks: new : old 0.510 (";
        assert!(printed.starts_with(first), "{printed}");
        let new = "new: quartiles 0.51 0.51 0.52; 3 below 1.0, 3 below 0.97; processor time 1.10; \
                   overhead below 1 ms: median 865 us, worst 900 us";
        assert!(printed.contains(new), "{printed}");
        let lost = printed.split_once("largest slowdowns:\n").map(|(_, lost)| lost.trim_start());
        assert!(lost.is_some_and(|lost| lost.starts_with("a ")), "{printed}");
        assert_eq!(printed.matches("now 0.5").count(), 3, "{printed}");
        let same = [block("a", &[(1.0, 1.0)]), block("b", &[(1.0, 1.02)])];
        assert!(judge(&all, &all).is_ok(), "no worse than the noise");
        let why = judge(&same, &all).unwrap_err();
        assert!(why.contains("1 worker, learned: 0.510"), "{why}");
        let value: Value = serde_json::from_str(&json(&all, &all)).expect("an object");
        assert_eq!(value["settings"][0]["new"]["below_0.97"], 3);
        assert_eq!(value["settings"][0]["noise"], value["settings"][0]["change"]);
    }
}
