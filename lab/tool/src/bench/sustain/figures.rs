//! The figures of sustained load.

use super::{Engine, timed::Written};
use alloy_primitives::B256;
use braid_cli::bench::{processor_time, reset_highest, resident};
use std::{
    fs,
    time::{Duration, Instant},
};

/// One second of a run.
#[derive(Clone, Copy, Debug)]
pub struct Second {
    /// Seconds since the start.
    pub second: u64,
    /// Transactions of the blocks that were executed in it.
    pub transactions: u64,
    /// Resident memory at its end, in bytes, where the system tells.
    pub memory: Option<u64>,
}

/// Where the time of the thread that makes blocks went, and what the others did meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageSeconds {
    /// Waiting for transactions.
    pub waiting_for_transactions: f64,
    /// Building blocks: executing transactions, and their changes.
    pub executing: f64,
    /// Receipts root, bloom filter and hash of each block.
    pub receipts: f64,
    /// Waiting for the writer, which is two blocks behind, and at the end for the last block.
    pub waiting_for_writer: f64,
    /// Beside it: making transactions, or recovering their senders.
    pub supplying: f64,
    /// Beside it: the writer finds what each block changes, its state root included.
    pub preparing: f64,
    /// Beside it: the writer's transactions of the store.
    pub storing: f64,
}

/// The figures of one run.
#[derive(Clone, Debug)]
pub struct SustainFigures {
    /// What executed the blocks.
    pub engine: Engine,
    /// Blocks, all durable at the end.
    pub blocks: u64,
    /// Blocks that one thread has executed alone; all of sequential revm's.
    pub alone: u64,
    /// Transactions.
    pub transactions: u64,
    /// Transactions that failed: they reverted, or ran out of gas.
    pub failed: u64,
    /// Gas.
    pub gas: u64,
    /// From the first block to the last durable one.
    pub wall: Duration,
    /// Processor time of all threads, user and system.
    pub cpu: Duration,
    /// Each whole second.
    pub seconds: Vec<Second>,
    /// From the first transaction of a block to the block's being durable: half of the blocks,
    /// 99 % of them, and all take no longer.
    pub latency: [Duration; 3],
    /// Where the time went.
    pub stages: StageSeconds,
    /// Resident memory at its highest, in bytes, where the system tells.
    pub most_memory: Option<u64>,
    /// Bytes that were handed to the disk, where the system tells.
    pub written: Option<u64>,
    /// The hash of each block, which commits to all receipts so far.
    pub hashes: Vec<B256>,
}

impl SustainFigures {
    /// Transactions for each second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.transactions as f64 / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Million gas for each second.
    #[must_use]
    pub fn mgas_per_second(&self) -> f64 {
        self.gas as f64 / 1e6 / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Processor seconds for each million gas.
    #[must_use]
    pub fn cpu_per_mgas(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.gas as f64 / 1e6).max(f64::MIN_POSITIVE)
    }
}

/// What is counted while a run goes on.
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
        // Elsewhere the figure says the highest since the process began.
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

    /// A block begins.
    pub(super) fn begin_block(&mut self, now: Instant) {
        self.begun.push(now);
    }

    /// A block was executed; each whole second that has gone by since is told to `on_second`.
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

    /// All blocks are durable.
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
            stages: self.stages,
            most_memory: resident().map(|[_, most]| most),
            written: written().zip(self.written).map(|(now, before)| now.saturating_sub(before)),
            hashes: self.hashes,
        }
    }
}

/// Bytes that this process has handed to the disk so far.
fn written() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}
