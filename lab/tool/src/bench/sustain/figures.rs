//! Figures of sustained load.

use super::{Engine, timed::Written};
use alloy_primitives::B256;
use braid_blocks::timing::processor_time;
use braid_cli::bench::{reset_highest, resident};
use std::{
    fs,
    time::{Duration, Instant},
};

/// Figures of one second.
#[derive(Clone, Copy, Debug)]
pub struct Second {
    /// Seconds since the start.
    pub second: u64,
    /// Transactions of the blocks executed in this second.
    pub transactions: u64,
    /// Resident memory in bytes at the end of the second, if the system reports it.
    pub memory: Option<u64>,
}

/// Seconds by activity: of the thread that builds blocks, and of the threads beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageSeconds {
    /// Waiting for transactions.
    pub waiting_for_transactions: f64,
    /// Building blocks: executing transactions and collecting their changes.
    pub executing: f64,
    /// Computing the receipts root, bloom filter and hash of each block.
    pub receipts: f64,
    /// Waiting for the writer while it is two blocks behind, and for the last block at the end.
    pub waiting_for_writer: f64,
    /// On another thread: generating transactions, or recovering their senders.
    pub supplying: f64,
    /// On the writer's thread: computing the changes of each block and its state root.
    pub preparing: f64,
    /// On the writer's thread: the store's transactions.
    pub storing: f64,
}

/// Figures of one run.
#[derive(Clone, Debug)]
pub struct SustainFigures {
    /// The engine that executed the blocks.
    pub engine: Engine,
    /// Number of blocks, all durable at the end.
    pub blocks: u64,
    /// Blocks executed by one thread; for sequential revm, all blocks.
    pub alone: u64,
    /// Number of transactions.
    pub transactions: u64,
    /// Transactions that reverted or ran out of gas.
    pub failed: u64,
    /// Gas used.
    pub gas: u64,
    /// Wall time from the first block until the last is durable.
    pub wall: Duration,
    /// User and system time of all threads.
    pub cpu: Duration,
    /// Figures of each whole second.
    pub seconds: Vec<Second>,
    /// Latency of blocks, from the first transaction until the block is durable: median, 99th
    /// percentile, maximum.
    pub latency: [Duration; 3],
    /// Time to open the chain again, and to make a block without transactions durable on it.
    pub restart: Duration,
    /// Where the time went.
    pub stages: StageSeconds,
    /// Peak resident memory in bytes, if the system reports it.
    pub most_memory: Option<u64>,
    /// Bytes written to disk, if the system reports them.
    pub written: Option<u64>,
    /// Hash of each block, which commits to all receipts so far.
    pub hashes: Vec<B256>,
}

impl SustainFigures {
    /// Returns transactions per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.transactions as f64 / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns millions of gas per second.
    #[must_use]
    pub fn mgas_per_second(&self) -> f64 {
        self.gas as f64 / 1e6 / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns processor seconds per million gas.
    #[must_use]
    pub fn cpu_per_mgas(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.gas as f64 / 1e6).max(f64::MIN_POSITIVE)
    }
}

/// Counters of a run in progress.
pub(super) struct Meter {
    engine: Engine,
    started: Instant,
    cpu: Duration,
    written: Option<u64>,
    begun: Vec<Instant>,
    current: Second,
    pub(super) seconds: Vec<Second>,
    pub(super) stages: StageSeconds,
    pub(super) hashes: Vec<B256>,
    pub(super) alone: u64,
    pub(super) transactions: u64,
    pub(super) failed: u64,
    pub(super) gas: u64,
}

impl Meter {
    pub(super) fn start(engine: Engine) -> Self {
        // On other systems the figure is the peak since the process started.
        let _ = reset_highest();
        Self {
            engine,
            started: Instant::now(),
            cpu: processor_time(),
            written: written(),
            begun: Vec::new(),
            current: Second { second: 0, transactions: 0, memory: None },
            seconds: Vec::new(),
            stages: StageSeconds::default(),
            hashes: Vec::new(),
            alone: 0,
            transactions: 0,
            failed: 0,
            gas: 0,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Records the start of a block.
    pub(super) fn begin_block(&mut self, now: Instant) {
        self.begun.push(now);
    }

    /// Records an executed block, and reports each whole second that has passed to `on_second`.
    pub(super) fn end_block(
        &mut self,
        hash: B256,
        transactions: u64,
        mut on_second: impl FnMut(&Second),
    ) {
        self.hashes.push(hash);
        self.transactions += transactions;
        let second = self.started.elapsed().as_secs();
        while self.current.second < second {
            self.current.memory = resident().map(|[now, _]| now);
            on_second(&self.current);
            self.seconds.push(self.current);
            let next = self.current.second + 1;
            self.current = Second { second: next, transactions: 0, memory: None };
        }
        self.current.transactions += transactions;
    }

    /// Ends the run, once all blocks are durable.
    pub(super) fn end(mut self, durable: &Written, supplying: Duration) -> SustainFigures {
        let wall = self.started.elapsed();
        let cpu = processor_time().saturating_sub(self.cpu);
        self.stages.supplying = supplying.as_secs_f64();
        self.stages.preparing = durable.preparing.as_secs_f64();
        self.stages.storing = durable.storing.as_secs_f64();
        let mut latencies: Vec<_> =
            durable.at.iter().zip(&self.begun).map(|(end, begin)| *end - *begin).collect();
        latencies.sort_unstable();
        let at = |percent: usize| {
            let place = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
            latencies.get(place).copied().unwrap_or_default()
        };
        SustainFigures {
            engine: self.engine,
            blocks: self.hashes.len() as u64,
            alone: self.alone,
            transactions: self.transactions,
            failed: self.failed,
            gas: self.gas,
            wall,
            cpu,
            seconds: self.seconds,
            latency: [at(50), at(99), at(100)],
            restart: Duration::ZERO,
            stages: self.stages,
            most_memory: resident().map(|[_, most]| most),
            written: written().zip(self.written).map(|(now, before)| now.saturating_sub(before)),
            hashes: self.hashes,
        }
    }
}

/// Returns the bytes that this process has written to disk so far.
fn written() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}
