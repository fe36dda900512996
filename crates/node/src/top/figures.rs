//! Figures for the time between two scrapes of a chain's metrics.

use super::Scrape;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// A part of a whole, from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Name of the part.
    pub name: String,
    /// Share of the whole.
    pub share: f64,
}

/// Figures for the time between two scrapes. `None` if a metric is missing, or if the figure would
/// be divided by zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Number of the last executed block.
    pub head: Option<f64>,
    /// Number of the last durable block.
    pub durable: Option<f64>,
    /// Number of blocks since the command began.
    pub blocks: f64,
    /// Number of workers, including the calling thread.
    pub workers: Option<f64>,
    /// Memory of the process, in bytes.
    pub memory_bytes: Option<f64>,
    /// Executed blocks per second.
    pub blocks_per_second: f64,
    /// Executed transactions per second.
    pub transactions_per_second: f64,
    /// Gas used per second, in millions.
    pub mgas_per_second: f64,
    /// Mean time per block, in seconds.
    pub block_seconds: Option<f64>,
    /// 99th percentile of the time per block, in seconds: the upper bound of a bucket.
    pub block_seconds_99: Option<f64>,
    /// Share of the workers' time, while blocks executed, in which they did not run.
    pub idle: Option<f64>,
    /// CPU seconds of the workers per million gas.
    pub worker_seconds_per_mgas: Option<f64>,
    /// CPU seconds of the process per million gas.
    pub cpu_seconds_per_mgas: Option<f64>,
    /// Mean number of uncommitted transactions below the jobs that workers report.
    pub frontier_lag: Option<f64>,
    /// Mean length of private batches, in transactions.
    pub batch_length: Option<f64>,
    /// Executions per transaction.
    pub runs: Option<f64>,
    /// Share of executions that were aborted, by cause.
    pub aborts: Vec<Share>,
    /// Share of transactions, by strategy.
    pub strategies: Vec<Share>,
    /// Share of transactions, by the reason for their strategy.
    pub reasons: Vec<Share>,
    /// Mean time of a read from the store, in seconds.
    pub read_seconds: Option<f64>,
    /// Mean time to find a block's changes in the store, including the state root, in seconds.
    pub prepare_seconds: Option<f64>,
    /// Mean time until a block is durable, in seconds.
    pub write_seconds: Option<f64>,
    /// Share of reads that were answered from the cache, by cache.
    pub cache_hits: Vec<Share>,
}

/// Names of the strategies with private batches.
const BATCHED: [&str; 2] = ["ContiguousBatches", "AccessList"];

/// Two scrapes, older first.
struct Between<'s>(&'s Scrape, &'s Scrape);

impl Between<'_> {
    /// Returns the increase of a counter. After a restart of the process, a counter begins at zero.
    fn grown(&self, name: &str) -> Option<f64> {
        Some(since(self.0.value(name).unwrap_or(0.0), self.1.value(name)?))
    }

    /// Returns the increase for each value of a label, summed over the other labels.
    fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut grown = BTreeMap::new();
        for sample in self.1.all(name) {
            let before = self.0.all(name).find(|it| it.labels == sample.labels);
            let value = since(before.map_or(0.0, |it| it.value), sample.value);
            let of = sample.label(label).unwrap_or_default().to_owned();
            *grown.entry(of).or_insert(0.0) += value;
        }
        grown
    }

    /// Returns the mean of a histogram or summary.
    fn mean(&self, name: &str) -> Option<f64> {
        let (sum, count) = (format!("{name}_sum"), format!("{name}_count"));
        ratio(self.grown(&sum)?, self.grown(&count)?)
    }

    /// Returns the lowest bucket bound of a histogram up to which a `share` of the values lies.
    fn quantile(&self, name: &str, share: f64) -> Option<f64> {
        let buckets = self.by(&format!("{name}_bucket"), "le");
        let all = *buckets.get("+Inf").filter(|all| **all > 0.0)?;
        let bounds = buckets.iter().filter(|(_, count)| **count >= share * all);
        bounds.filter_map(|(bound, _)| bound.parse().ok()).min_by(f64::total_cmp)
    }
}

fn since(before: f64, after: f64) -> f64 {
    if after < before { after } else { after - before }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Returns the parts of `whole` as shares, largest first, without zero shares.
fn shares(parts: BTreeMap<String, f64>, whole: f64) -> Vec<Share> {
    let share = |(name, part)| Some(Share { name, share: ratio(part, whole)? });
    let mut all: Vec<Share> = parts.into_iter().filter_map(share).collect();
    all.retain(|it| it.share > 0.0);
    all.sort_by(|left, right| right.share.total_cmp(&left.share));
    all
}

impl Figures {
    /// Computes the figures between two scrapes, `time` apart.
    #[must_use]
    pub fn between(before: &Scrape, after: &Scrape, time: Duration) -> Self {
        let between = Between(before, after);
        let grown = |name| between.grown(name).unwrap_or(0.0);
        let per_second = |name| ratio(grown(name), time.as_secs_f64()).unwrap_or(0.0);
        let mgas = grown("braid_gas_total") / 1e6;
        let runs = grown("braid_runs_total");
        let strategies = between.by("braid_strategy_transactions_total", "strategy");
        let reasons = between.by("braid_strategy_transactions_total", "reason");
        let transactions: f64 = strategies.values().sum();
        let batched: f64 = BATCHED.iter().filter_map(|name| strategies.get(*name)).sum();
        let (busy, idle) = (grown("braid_busy_seconds_total"), grown("braid_idle_seconds_total"));
        let (hits, mut reads) = (
            between.by("braid_cache_hits_total", "cache"),
            between.by("braid_cache_misses_total", "cache"),
        );
        hits.iter().for_each(|(cache, hits)| *reads.entry(cache.clone()).or_insert(0.0) += hits);
        let hit = |(name, hits): (String, f64)| {
            let share = ratio(hits, *reads.get(&name)?)?;
            Some(Share { name, share })
        };
        Self {
            head: after.value("braid_head_block"),
            durable: after.value("braid_durable_block"),
            blocks: after.value("braid_blocks_total").unwrap_or(0.0),
            workers: after.value("braid_workers"),
            memory_bytes: after.value("process_resident_memory_bytes"),
            blocks_per_second: per_second("braid_blocks_total"),
            transactions_per_second: per_second("braid_transactions_total"),
            mgas_per_second: per_second("braid_gas_total") / 1e6,
            block_seconds: between.mean("braid_block_seconds"),
            block_seconds_99: between.quantile("braid_block_seconds", 0.99),
            idle: ratio(idle, busy + idle),
            worker_seconds_per_mgas: ratio(busy, mgas).filter(|it| *it > 0.0),
            cpu_seconds_per_mgas: ratio(grown("process_cpu_seconds_total"), mgas),
            frontier_lag: ratio(grown("braid_frontier_lag_total"), grown("braid_reports_total")),
            batch_length: ratio(batched, grown("braid_batches_total")),
            runs: ratio(runs, grown("braid_transactions_total")),
            aborts: shares(between.by("braid_aborts_total", "cause"), runs),
            strategies: shares(strategies, transactions),
            reasons: shares(reasons, transactions),
            read_seconds: between.mean("braid_store_read_seconds"),
            prepare_seconds: between.mean("braid_store_prepare_seconds"),
            write_seconds: between.mean("braid_store_write_seconds"),
            cache_hits: hits.into_iter().filter_map(hit).collect(),
        }
    }

    /// Returns names and formatted values, for a table.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let plain = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.0}"));
        let short = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.2}"));
        let percent =
            |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{:.0} %", 100.0 * it));
        let listed = |all: &[Share]| {
            let one = |it: &Share| format!("{} {:.1} %", it.name, 100.0 * it.share);
            let all: Vec<String> = all.iter().map(one).collect();
            if all.is_empty() { "-".to_owned() } else { all.join(", ") }
        };
        vec![
            ("head, durable", format!("{}, {}", plain(self.head), plain(self.durable))),
            ("blocks/s", format!("{:.1}", self.blocks_per_second)),
            ("transactions/s", format!("{:.0}", self.transactions_per_second)),
            ("Mgas/s", format!("{:.1}", self.mgas_per_second)),
            (
                "time of a block",
                format!("{}, 99 %: {}", time(self.block_seconds), time(self.block_seconds_99)),
            ),
            ("workers, idle", format!("{}, {}", plain(self.workers), percent(self.idle))),
            ("worker s/Ggas", short(self.worker_seconds_per_mgas.map(|it| 1e3 * it))),
            ("CPU s/Ggas", short(self.cpu_seconds_per_mgas.map(|it| 1e3 * it))),
            ("runs per transaction", short(self.runs)),
            ("aborted of runs", listed(&self.aborts)),
            ("frontier lag", short(self.frontier_lag)),
            ("batch length", short(self.batch_length)),
            ("store: read", time(self.read_seconds)),
            (
                "store: prepare, write",
                format!("{}, {}", time(self.prepare_seconds), time(self.write_seconds)),
            ),
            ("cache hits", listed(&self.cache_hits)),
            ("memory, MiB", plain(self.memory_bytes.map(|it| it / f64::from(1 << 20)))),
        ]
    }
}

/// Formats a time with a suitable unit.
fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 1e-3 => format!("{:.1} us", 1e6 * seconds),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", 1e3 * seconds),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
braid_blocks_total 10
braid_transactions_total 1000
braid_runs_total 1500
braid_gas_total 1000000
braid_busy_seconds_total 1
braid_idle_seconds_total 1
braid_aborts_total{cause=\"blocked\"} 7
braid_block_seconds_bucket{le=\"0.001\"} 10
braid_block_seconds_bucket{le=\"0.01\"} 10
braid_block_seconds_bucket{le=\"+Inf\"} 10
braid_block_seconds_sum 0.005
braid_block_seconds_count 10
";
    const AFTER: &str = "\
braid_blocks_total 14
braid_head_block 114
braid_transactions_total 1400
braid_runs_total 2000
braid_gas_total 5000000
braid_busy_seconds_total 4
braid_idle_seconds_total 2
braid_batches_total 10
braid_reports_total 100
braid_frontier_lag_total 250
braid_aborts_total{cause=\"blocked\"} 57
braid_strategy_transactions_total{strategy=\"ContiguousBatches\",reason=\"a\"} 300
braid_strategy_transactions_total{strategy=\"Sequential\",reason=\"a\"} 50
braid_strategy_transactions_total{strategy=\"Sequential\",reason=\"b\"} 50
braid_block_seconds_bucket{le=\"0.001\"} 11
braid_block_seconds_bucket{le=\"0.01\"} 14
braid_block_seconds_bucket{le=\"+Inf\"} 14
braid_block_seconds_sum 0.025
braid_block_seconds_count 14
braid_cache_hits_total{cache=\"x\"} 30
braid_cache_misses_total{cache=\"x\"} 10
";

    fn figures(before: &str, after: &str) -> Figures {
        let parse = |text| Scrape::parse(text).expect("metrics");
        Figures::between(&parse(before), &parse(after), Duration::from_secs(2))
    }

    fn share(name: &str, share: f64) -> Share {
        Share { name: name.to_owned(), share }
    }

    #[test]
    fn two_looks_tell_what_lies_between_them() {
        let found = figures(BEFORE, AFTER);
        assert_eq!((found.head, found.durable, found.blocks), (Some(114.0), None, 14.0));
        assert_eq!((found.blocks_per_second, found.transactions_per_second), (2.0, 200.0));
        assert_eq!((found.mgas_per_second, found.runs), (2.0, Some(1.25)));
        assert_eq!((found.idle, found.worker_seconds_per_mgas), (Some(0.25), Some(0.75)));
        assert_eq!((found.frontier_lag, found.batch_length), (Some(2.5), Some(30.0)));
        assert_eq!((found.block_seconds, found.block_seconds_99), (Some(0.005), Some(0.01)));
        assert_eq!(found.aborts, [share("blocked", 0.1)]);
        assert_eq!(found.strategies, [share("ContiguousBatches", 0.75), share("Sequential", 0.25)]);
        assert_eq!(found.reasons, [share("a", 0.875), share("b", 0.125)]);
        assert_eq!(found.cache_hits, [share("x", 0.75)]);
    }

    #[test]
    fn nothing_between_is_no_figure() {
        let found = figures(AFTER, AFTER);
        assert_eq!((found.blocks_per_second, found.runs, found.idle), (0.0, None, None));
        assert_eq!((found.block_seconds, found.block_seconds_99), (None, None));
        assert!(found.strategies.is_empty() && found.cache_hits.is_empty());
        let lines = found.lines();
        assert!(lines.iter().any(|(name, value)| *name == "frontier lag" && value == "-"));
    }

    #[test]
    fn a_restart_begins_anew() {
        let found = figures(AFTER, BEFORE);
        assert_eq!((found.blocks_per_second, found.transactions_per_second), (5.0, 500.0));
    }
}
