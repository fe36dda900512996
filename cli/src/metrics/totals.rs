//! What is counted.

use super::text::Text;
use crate::profile::PROFILE;
use braid_chain::DurableHead;
use braid_evm::{BlockOutput, Stats, Stretch};
use cpu_time::ProcessTime;
use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Upper bounds of the buckets for the time of a block, in seconds.
const SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds of the buckets for the length of a stretch, in transactions.
const LENGTHS: [f64; 9] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0];

/// A block that was executed.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// What executing it gave.
    pub output: &'a BlockOutput,
    /// From handing it over until its result could be used.
    pub time: Duration,
    /// Its number.
    pub number: u64,
}

/// Counters of executed blocks; any thread may read them.
#[derive(Debug, Default)]
pub struct Metrics {
    totals: Mutex<Totals>,
    /// Where there is a chain.
    durable: Option<DurableHead>,
}

#[derive(Debug, Default)]
struct Totals {
    blocks: u64,
    gas: u64,
    stats: Stats,
    /// Stretches and their transactions, by strategy and reason.
    stretches: BTreeMap<(String, String), (u64, u64)>,
    time: Histogram<{ SECONDS.len() }>,
    length: Histogram<{ LENGTHS.len() }>,
    number: u64,
}

/// Counts of values up to each bound.
#[derive(Debug)]
struct Histogram<const N: usize> {
    /// Values up to a bound and above the one before.
    counts: [u64; N],
    count: u64,
    sum: f64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { counts: [0; N], count: 0, sum: 0.0 }
    }
}

impl<const N: usize> Histogram<N> {
    fn add(&mut self, bounds: &[f64; N], value: f64) {
        let bucket = bounds.iter().position(|bound| value <= *bound);
        if let Some(count) = bucket.and_then(|index| self.counts.get_mut(index)) {
            *count = count.saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
        self.sum += value;
    }

    fn write(&self, text: &mut Text, name: &str, help: &str, bounds: &[f64; N]) {
        text.family(name, "histogram", help);
        let mut below = 0_u64;
        for (bound, count) in bounds.iter().zip(self.counts) {
            below = below.saturating_add(count);
            text.sample(&format!("{name}_bucket"), &[("le", &bound.to_string())], below);
        }
        text.sample(&format!("{name}_bucket"), &[("le", "+Inf")], self.count);
        text.sample(&format!("{name}_sum"), &[], self.sum);
        text.sample(&format!("{name}_count"), &[], self.count);
    }
}

impl Metrics {
    /// Counters of a chain whose last block has the number `head`.
    #[must_use]
    pub fn of(head: u64, durable: DurableHead) -> Self {
        let totals = Totals { number: head, ..Totals::default() };
        Self { totals: Mutex::new(totals), durable: Some(durable) }
    }

    /// Counts a block.
    pub fn block(&self, watched: Watched<'_>) {
        self.lock().block(watched);
    }

    /// Everything in the text format of Prometheus, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Text::default();
        // At the time of the scrape: it moves while no block comes.
        let durable = self.durable.as_ref().map_or(0, |durable| durable.get().number);
        self.lock().write(&mut text, durable);
        process(&mut text);
        text.end()
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        // Counters are whole after each statement.
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn block(&mut self, watched: Watched<'_>) {
        let Watched { output, time, number } = watched;
        self.blocks = self.blocks.saturating_add(1);
        self.gas = self.gas.saturating_add(output.gas_used);
        self.number = number;
        self.time.add(&SECONDS, time.as_secs_f64());
        add(&mut self.stats, &output.stats);
        for stretch in &output.path {
            self.stretch(stretch);
        }
    }

    fn stretch(&mut self, stretch: &Stretch) {
        let length = u64::from(stretch.end.saturating_sub(stretch.first));
        let name = (format!("{:?}", stretch.strategy), format!("{:?}", stretch.reason));
        let (stretches, transactions) = self.stretches.entry(name).or_default();
        *stretches = stretches.saturating_add(1);
        *transactions = transactions.saturating_add(length);
        self.length.add(&LENGTHS, length as f64);
    }

    fn write(&self, text: &mut Text, durable: u64) {
        let stats = &self.stats;
        for (name, help, value) in [
            ("braid_blocks_total", "Blocks that were executed.", self.blocks),
            ("braid_gas_total", "Gas that they used.", self.gas),
            (
                "braid_transactions_total",
                "Transactions that were committed or skipped.",
                stats.transactions,
            ),
            (
                "braid_runs_total",
                "Runs of transactions, discarded ones included.",
                stats.incarnations,
            ),
            (
                "braid_discarded_runs_total",
                "Runs that were discarded: they had read too early.",
                stats.discarded,
            ),
            (
                "braid_blocked_runs_total",
                "Runs that met a value which a lower transaction was about to write.",
                stats.blocked,
            ),
            (
                "braid_speculative_transactions_total",
                "Transactions whose result comes from a run ahead of their turn.",
                stats.speculative,
            ),
            (
                "braid_given_up_stretches_total",
                "Stretches that ran in order because speculation was mostly wasted.",
                stats.in_order_stretches,
            ),
            (
                "braid_foreseen_stretches_total",
                "Stretches that ran in order because of what earlier blocks have shown.",
                stats.foreseen_stretches,
            ),
            (
                "braid_taken_over_total",
                "Transactions and batches that the calling thread took over from a worker put aside.",
                stats.taken_over.saturating_add(stats.helped_batches),
            ),
            (
                "braid_batches_total",
                "Private batches of neighbours that were committed.",
                stats.parts,
            ),
            ("braid_rounds_total", "Rounds of private batches.", stats.lane_rounds),
        ] {
            text.family(name, "counter", help);
            text.sample(name, &[], value);
        }
        self.write_paths(text);
        let help = "Time to execute a block, until its result could be used.";
        self.time.write(text, "braid_block_seconds", help, &SECONDS);
        let help = "Transactions of a stretch that ran in one way.";
        self.length.write(text, "braid_stretch_transactions", help, &LENGTHS);
        for (name, help, value) in [
            ("braid_head_block", "Number of the last block that was executed.", self.number),
            ("braid_durable_block", "Number of the last block that is durable.", durable),
        ] {
            text.family(name, "gauge", help);
            text.sample(name, &[], value);
        }
    }

    /// How transactions ran, and why.
    fn write_paths(&self, text: &mut Text) {
        let kinds = [
            ("braid_path_transactions_total", "Transactions by how they ran, and why."),
            ("braid_path_stretches_total", "Stretches of transactions by how they ran, and why."),
        ];
        for (name, help) in kinds {
            text.family(name, "counter", help);
            for ((strategy, reason), (stretches, transactions)) in &self.stretches {
                let labels = [("strategy", strategy.as_str()), ("reason", reason.as_str())];
                let value = if name.contains("stretches") { stretches } else { transactions };
                text.sample(name, &labels, *value);
            }
        }
    }
}

fn add(total: &mut Stats, block: &Stats) {
    for (total, block) in [
        (&mut total.transactions, block.transactions),
        (&mut total.incarnations, block.incarnations),
        (&mut total.discarded, block.discarded),
        (&mut total.blocked, block.blocked),
        (&mut total.speculative, block.speculative),
        (&mut total.in_order_stretches, block.in_order_stretches),
        (&mut total.foreseen_stretches, block.foreseen_stretches),
        (&mut total.taken_over, block.taken_over),
        (&mut total.helped_batches, block.helped_batches),
        (&mut total.parts, block.parts),
        (&mut total.lane_rounds, block.lane_rounds),
    ] {
        *total = total.saturating_add(block);
    }
}

/// What Prometheus expects of every process, and the build.
fn process(text: &mut Text) {
    if let Ok(time) = ProcessTime::try_now() {
        let name = "process_cpu_seconds_total";
        text.family(name, "counter", "User and system time of the process.");
        text.sample(name, &[], time.as_duration().as_secs_f64());
    }
    if let Some(bytes) = resident_bytes() {
        let name = "process_resident_memory_bytes";
        text.family(name, "gauge", "Memory of the process that is in use.");
        text.sample(name, &[], bytes);
    }
    let name = "braid_build_info";
    text.family(name, "gauge", "Version of the tool and profile of its build.");
    text.sample(name, &[("version", env!("CARGO_PKG_VERSION")), ("profile", PROFILE)], 1);
}

/// `None` where the system does not tell.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::{Histogram, LENGTHS, Metrics};
    use crate::metrics::text::Text;

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let mut histogram = Histogram::default();
        for value in [1.0, 2.0, 4.0, 5.0, 1e9] {
            histogram.add(&LENGTHS, value);
        }
        let mut text = Text::default();
        histogram.write(&mut text, "x", "X.", &LENGTHS);
        let text = text.end();
        for line in ["x_bucket{le=\"1\"} 1", "x_bucket{le=\"4\"} 3", "x_bucket{le=\"65536\"} 4"] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
        assert!(text.contains("x_bucket{le=\"+Inf\"} 5\n") && text.contains("x_count 5\n"));
    }

    #[test]
    fn everything_is_there_before_the_first_block() {
        let text = Metrics::default().text();
        for name in ["braid_blocks_total 0", "braid_head_block 0", "braid_block_seconds_count 0"] {
            assert!(text.lines().any(|line| line == name), "{name}: {text}");
        }
        assert!(text.contains("process_cpu_seconds_total ") && text.contains("braid_build_info{"));
    }
}
