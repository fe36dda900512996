//! Counters, and their output.

use super::{
    histogram::{Histogram, SECONDS},
    process::{Took, process},
    store::StoreTimes,
    text::Text,
    usage::usage,
};
use crate::Usage;
use braid_chain::{CacheUse, DurableHead};
use braid_evm::{BlockOutput, Segment, Stats};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use thiserror::Error;

/// Upper bounds of the buckets for the length of a segment, in transactions.
const LENGTHS: [f64; 9] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0];

/// Maximum time for an executed block to become durable. Writing a block takes milliseconds; on a
/// busy disk it may take seconds.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Reason why a chain does not accept blocks at the moment.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotReady {
    /// The chain is not open yet. After a kill, opening takes longer, as the store's journals are
    /// read.
    #[error("the chain is being opened")]
    Opening,
    /// An executed block has not become durable in time.
    #[error("block {number} was executed {seconds} s ago and is not durable yet")]
    NotDurable {
        /// Number of the last executed block.
        number: u64,
        /// Seconds since it was executed.
        seconds: u64,
    },
}

/// A block that was executed, with its measurements.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// Result of executing the block.
    pub output: &'a BlockOutput,
    /// Time from passing the block to the chain until its result could be used.
    pub took: Took,
    /// Hits and misses of the store's read cache since the store was opened.
    pub cache: CacheUse,
    /// Number of the block.
    pub number: u64,
}

/// Counters of executed blocks; any thread may read them.
#[derive(Debug, Default)]
pub struct Metrics {
    totals: Mutex<Totals>,
    /// The chain, once it is open.
    chain: OnceLock<WatchedChain>,
    /// Counters of client requests, if the chain makes its own blocks.
    usage: OnceLock<Usage>,
}

/// A chain whose blocks are counted.
#[derive(Clone, Debug)]
pub struct WatchedChain {
    /// Number of the chain's last block.
    pub head: u64,
    /// Handle to read the chain's last durable block, and its writer's cache counters.
    pub durable: DurableHead,
    /// Measured times of the chain's store.
    pub times: Arc<StoreTimes>,
    /// Number of workers, including the calling thread.
    pub workers: u16,
}

#[derive(Debug, Default)]
struct Totals {
    blocks: u64,
    gas: u64,
    stats: Stats,
    /// Number of segments and of their transactions, by strategy and reason.
    segments: BTreeMap<(String, String), (u64, u64)>,
    time: Histogram<{ SECONDS.len() }>,
    length: Histogram<{ LENGTHS.len() }>,
    /// Number of the last executed block, and the time at which it was executed.
    number: u64,
    executed: Option<Instant>,
    /// Time available to the workers while blocks executed, and the CPU time that they used.
    given: Duration,
    busy: Duration,
    cache: CacheUse,
}

impl Metrics {
    /// Sets the chain once it is open. Only the first call has an effect.
    pub fn open(&self, chain: WatchedChain) {
        self.lock().number = chain.head;
        let _ = self.chain.set(chain);
    }

    /// Sets the counters of client requests. Only the first call has an effect.
    pub fn serve(&self, usage: Usage) {
        let _ = self.usage.set(usage);
    }

    /// Checks that the chain is open, and that executed blocks become durable.
    ///
    /// # Errors
    /// Returns the reason why it is not ready.
    pub fn ready(&self) -> Result<(), NotReady> {
        let chain = self.chain.get().ok_or(NotReady::Opening)?;
        let (number, executed) = {
            let totals = self.lock();
            (totals.number, totals.executed)
        };
        let waited = executed.map_or(Duration::ZERO, |executed| executed.elapsed());
        becomes_durable(number, chain.durable.get().number, waited)
    }

    /// Counts a block.
    pub fn block(&self, watched: Watched<'_>) {
        self.lock().block(watched);
    }

    /// Returns all metrics in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Text::default();
        let chain = self.chain.get();
        self.lock().write(&mut text, chain);
        if let Some(chain) = chain {
            // Read at the time of the scrape, as it also changes without new blocks.
            write_chain(&mut text, chain);
        }
        if let Some(counts) = self.usage.get().map(Usage::read) {
            usage(&mut text, &counts);
        }
        process(&mut text);
        text.end()
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        // A poisoned lock is usable: the counters are consistent after each statement.
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn block(&mut self, watched: Watched<'_>) {
        let Watched { output, took, number, cache } = watched;
        let Took { time, busy, given } = took;
        if let Some(busy) = busy {
            self.busy = self.busy.saturating_add(busy);
            self.given = self.given.saturating_add(given.max(busy));
        }
        self.cache = cache;
        self.blocks = self.blocks.saturating_add(1);
        self.gas = self.gas.saturating_add(output.gas_used);
        self.number = number;
        self.executed = Some(Instant::now());
        self.time.add(&SECONDS, time.as_secs_f64());
        add(&mut self.stats, &output.stats);
        for segment in &output.segments {
            self.segment(segment);
        }
    }

    fn segment(&mut self, segment: &Segment) {
        let length = u64::from(segment.end.saturating_sub(segment.first));
        let name = (format!("{:?}", segment.strategy), format!("{:?}", segment.reason));
        let (segments, transactions) = self.segments.entry(name).or_default();
        *segments = segments.saturating_add(1);
        *transactions = transactions.saturating_add(length);
        self.length.add(&LENGTHS, length as f64);
    }

    fn write(&self, text: &mut Text, chain: Option<&WatchedChain>) {
        self.write_counters(text);
        self.write_aborts(text);
        self.write_paths(text);
        let help = "Time to execute a block, until its result was available.";
        self.time.write(text, "braid_block_seconds", help, &SECONDS);
        let help = "Length of segments, in transactions.";
        self.length.write(text, "braid_segment_transactions", help, &LENGTHS);
        let idle = self.given.saturating_sub(self.busy);
        for (name, help, time) in [
            (
                "braid_busy_seconds_total",
                "Processor time of the workers while blocks executed.",
                self.busy,
            ),
            (
                "braid_idle_seconds_total",
                "Time that the workers were idle while blocks executed.",
                idle,
            ),
        ] {
            text.family(name, "counter", help);
            text.sample(name, &[], time.as_secs_f64());
        }
        if chain.is_some() {
            let name = "braid_head_block";
            text.family(name, "gauge", "Number of the last block that was executed.");
            text.sample(name, &[], self.number);
        }
        let nodes = chain.map_or_else(CacheUse::default, |chain| chain.durable.node_cache());
        write_caches(text, &[("store_blocks", self.cache), ("trie_nodes", nodes)]);
    }

    fn write_counters(&self, text: &mut Text) {
        let stats = &self.stats;
        for (name, help, value) in [
            ("braid_blocks_total", "Blocks that were executed.", self.blocks),
            ("braid_gas_total", "Gas used by executed blocks.", self.gas),
            (
                "braid_transactions_total",
                "Transactions that were committed or skipped.",
                stats.transactions,
            ),
            (
                "braid_runs_total",
                "Runs of transactions, aborted ones included.",
                stats.incarnations,
            ),
            (
                "braid_speculative_transactions_total",
                "Transactions whose committed result was computed speculatively.",
                stats.speculative_commits,
            ),
            (
                "braid_fallback_segments_total",
                "Speculative segments that ended early: most runs aborted, or speculation did not pay.",
                stats.fallback_segments,
            ),
            (
                "braid_learned_conflict_segments_total",
                "Segments that ran sequentially because the same calls conflicted in earlier blocks.",
                stats.learned_conflict_segments,
            ),
            (
                "braid_helped_total",
                "Transactions and batches that the calling thread took over from a preempted worker.",
                stats.helped_transactions.saturating_add(stats.helped_batches),
            ),
            (
                "braid_batches_total",
                "Contiguous private batches that committed a transaction.",
                stats.contiguous_batches,
            ),
            ("braid_reports_total", "Jobs that workers reported.", stats.reports),
            (
                "braid_frontier_lag_total",
                "Sum, over all reports, of the uncommitted transactions below the reported job.",
                stats.ahead,
            ),
        ] {
            text.family(name, "counter", help);
            text.sample(name, &[], value);
        }
    }

    /// Writes the aborted executions, by cause.
    fn write_aborts(&self, text: &mut Text) {
        let Stats { aborts, batch_aborts, fallback_aborts, estimate_reads, .. } = self.stats;
        let known = batch_aborts.saturating_add(fallback_aborts);
        let known = known.saturating_add(estimate_reads);
        let name = "braid_aborts_total";
        text.family(name, "counter", "Runs that were aborted, by cause.");
        for (cause, count) in [
            ("blocked", estimate_reads),
            ("changed_read", aborts.saturating_sub(known)),
            ("conflicting_batch", batch_aborts),
            ("fallback", fallback_aborts),
        ] {
            text.sample(name, &[("cause", cause)], count);
        }
    }

    /// Writes transactions and segments, by strategy and reason.
    fn write_paths(&self, text: &mut Text) {
        let kinds = [
            ("braid_strategy_transactions_total", "Transactions by strategy and reason."),
            ("braid_strategy_segments_total", "Segments by strategy and reason."),
        ];
        for (name, help) in kinds {
            text.family(name, "counter", help);
            for ((strategy, reason), (segments, transactions)) in &self.segments {
                let labels = [("strategy", strategy.as_str()), ("reason", reason.as_str())];
                let value = if name.contains("segments") { segments } else { transactions };
                text.sample(name, &labels, *value);
            }
        }
    }
}

/// Checks that the last executed block is durable, or still has time to become so. While blocks
/// execute, the writer makes progress, as execution waits for it.
fn becomes_durable(number: u64, durable: u64, waited: Duration) -> Result<(), NotReady> {
    if number <= durable || waited < WRITE_LIMIT {
        return Ok(());
    }
    Err(NotReady::NotDurable { number, seconds: waited.as_secs() })
}

/// Writes the metrics that also change without new blocks.
fn write_chain(text: &mut Text, chain: &WatchedChain) {
    for (name, help, value) in [
        (
            "braid_durable_block",
            "Number of the last block that is durable.",
            chain.durable.get().number,
        ),
        ("braid_workers", "Workers, the calling thread included.", u64::from(chain.workers)),
    ] {
        text.family(name, "gauge", help);
        text.sample(name, &[], value);
    }
    chain.times.write(text);
}

/// Writes hits and misses of the caches.
fn write_caches(text: &mut Text, caches: &[(&str, CacheUse)]) {
    /// Name of a metric, its help, and its value.
    type Family = (&'static str, &'static str, fn(&CacheUse) -> u64);
    let families: [Family; 2] = [
        ("braid_cache_hits_total", "Reads that a cache answered.", |it| it.hits),
        ("braid_cache_misses_total", "Reads that missed a cache.", |it| it.misses),
    ];
    for (name, help, value) in families {
        text.family(name, "counter", help);
        for (cache, used) in caches {
            text.sample(name, &[("cache", cache)], value(used));
        }
    }
}

fn add(total: &mut Stats, block: &Stats) {
    for (total, block) in [
        (&mut total.transactions, block.transactions),
        (&mut total.incarnations, block.incarnations),
        (&mut total.aborts, block.aborts),
        (&mut total.estimate_reads, block.estimate_reads),
        (&mut total.speculative_commits, block.speculative_commits),
        (&mut total.fallback_segments, block.fallback_segments),
        (&mut total.learned_conflict_segments, block.learned_conflict_segments),
        (&mut total.helped_transactions, block.helped_transactions),
        (&mut total.helped_batches, block.helped_batches),
        (&mut total.contiguous_batches, block.contiguous_batches),
        (&mut total.batch_aborts, block.batch_aborts),
        (&mut total.fallback_aborts, block.fallback_aborts),
        (&mut total.reports, block.reports),
        (&mut total.ahead, block.ahead),
    ] {
        *total = total.saturating_add(block);
    }
}

#[cfg(test)]
mod tests {
    use super::{Metrics, NotReady, WRITE_LIMIT, becomes_durable};
    use std::time::Duration;

    #[test]
    fn everything_is_there_before_the_first_block() {
        let text = Metrics::default().text();
        for name in ["braid_blocks_total 0", "braid_block_seconds_count 0"] {
            assert!(text.lines().any(|line| line == name), "{name}: {text}");
        }
        assert!(text.contains("process_cpu_seconds_total ") && text.contains("braid_build_info{"));
    }

    #[test]
    fn a_block_that_does_not_become_durable_in_time_is_told() {
        let soon = WRITE_LIMIT - Duration::from_millis(1);
        assert_eq!(becomes_durable(7, 7, 9 * WRITE_LIMIT), Ok(()));
        assert_eq!(becomes_durable(7, 5, soon), Ok(()));
        let late = becomes_durable(7, 5, WRITE_LIMIT).unwrap_err();
        assert_eq!(late, NotReady::NotDurable { number: 7, seconds: WRITE_LIMIT.as_secs() });
        assert!(late.to_string().contains("block 7 was executed 10 s ago"), "{late}");
        assert_eq!(Metrics::default().ready(), Err(NotReady::Opening));
    }
}
