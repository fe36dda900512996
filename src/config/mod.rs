//! Configuration of an executor.

mod builder;

pub use builder::{ConfigBuilder, ConfigError};

use crate::protocol::{Limits, Waste};
#[cfg(feature = "evm")]
use crate::thresholds::IO_WORKERS_PER_WORKER;
use crate::thresholds::{
    JOBS_PER_WORKER, PATIENCE_GAS, SHARDS_PER_WORKER, SPECULATIVE_RUNS, WINDOW_PER_WORKER,
    WINDOW_WORKERS,
};
use std::num::{NonZeroU16, NonZeroU32};

/// Strategies that the transactions of a block may use. The policy changes speed, never a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Policy {
    /// Chooses the strategy that is predicted to be fastest.
    /// [`BlockOutput::segments`](crate::BlockOutput::segments) reports the strategies and the
    /// reasons for them.
    #[default]
    Auto,
    /// Runs all transactions sequentially, on the calling thread.
    Sequential,
    /// Forces one strategy, whether it pays or not: for tests (feature `testing`).
    #[doc(hidden)]
    #[cfg_attr(all(feature = "serde", not(feature = "testing")), serde(skip))]
    Forced(Forced),
}

/// A strategy that tests force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Forced {
    /// All transactions run speculatively.
    Speculative,
    /// Speculative and sequential segments of a few transactions alternate.
    Alternate,
    /// Contiguous private batches of a few transactions alternate with a few sequential
    /// transactions.
    ContiguousBatches,
    /// Contiguous private batches of a few transactions read the block's access list. Transactions
    /// that the list does not cover run sequentially, as does a block without a list.
    AccessList,
}

/// Configuration of an executor. Only [`reverts`](Self::reverts) and
/// [`access_list`](Self::access_list) change results.
///
/// [`builder`](Self::builder) checks each value. For constants in a program, assign to the fields
/// of [`default`](Self::default); an executor then clamps values that are out of bounds. With the
/// feature `serde` a configuration can be read from a file and written to one. Missing fields have
/// their defaults, and the others are checked as in the builder.
///
/// ```
/// use braid_evm::Config;
///
/// let config = Config::builder().workers(8).access_list(true).build()?;
/// assert_eq!(config.workers.get(), 8);
/// let error = Config::builder().workers(0).build().unwrap_err();
/// assert_eq!(error.field, "workers");
/// # Ok::<_, braid_evm::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "ConfigBuilder", into = "ConfigBuilder"))]
#[non_exhaustive]
pub struct Config {
    /// Number of workers, including the calling thread. Default: one per core. Fewer run if there
    /// is not enough work, and at most eight run transactions that may conflict.
    pub workers: NonZeroU16,
    /// Number of workers while most of them wait for the database, judged by the previous block;
    /// additional workers run while others wait. Default (`None`): eight times
    /// [`workers`](Self::workers), or one if `workers` is one. Set it to the value of `workers` for
    /// a database that answers one request at a time (or see
    /// [`reads_overlap`](crate::StateSource::reads_overlap)).
    /// [`execute_scoped`](crate::execute_scoped) has no previous block and always uses `workers`.
    pub io_workers: Option<NonZeroU16>,
    /// Whether to record the block's accesses in
    /// [`BlockOutput::access_list`](crate::BlockOutput::access_list) (EIP-7928). Default: no.
    pub access_list: bool,
    /// Whether to keep the changes of each transaction, so that
    /// [`BlockOutput::replay`](crate::BlockOutput::replay) can replay one with an inspector.
    /// Default: no. It costs as much time as [`on_commit`](crate::BlockRequest::on_commit), and the
    /// memory of all changes while the output exists.
    pub keep_changes: bool,
    /// Strategies that the transactions may use.
    pub policy: Policy,
    /// Whether the bundle keeps the reverts that undo the block. Default: yes.
    pub reverts: bool,
    /// Whether an executor learns from earlier blocks. It remembers calls (contract, function and
    /// first argument) on which speculation failed, and runs later calls of that kind sequentially
    /// from the start. It also remembers functions that ran long, and starts their calls early, as
    /// it does unknown calls with a very high gas limit. Default: yes. Set it to no if one executor
    /// serves unrelated chains, or in measurements whose blocks must be independent.
    pub learn: bool,
    /// Internal settings of the engine. They may change in any release.
    #[doc(hidden)]
    pub engine: EngineConfig,
}

/// Internal settings of the engine, for tests and measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineConfig {
    /// How [`execute`](crate::BlockRequest::execute) treats an invalid transaction.
    pub mode: Mode,
    /// Maximum number of executions of a transaction before it has to wait until every lower
    /// transaction has committed; at least 1.
    pub max_speculative_runs: u32,
    /// Number of transactions per worker that may be dispatched ahead of the frontier, the lowest
    /// uncommitted transaction; 1 to 65,536. The window of a block is this value times the number
    /// of workers; unless storage is slow, it is at most twice this value, or two transactions per
    /// worker if that is more. It bounds the memory for results that are not committed yet.
    pub window_per_worker: u32,
    /// Maximum number of transactions dispatched together; `None` derives it from the size of the
    /// block.
    pub chunk: Option<NonZeroU32>,
    /// Whether transactions that are dispatched together share a journal, so that each can use the
    /// values that earlier ones have read. Journals are never shared before Spurious Dragon.
    pub share_journals: bool,
    /// Whether each worker's EVM caches up to 256 KECCAK256 hashes of inputs of up to 95 bytes. The
    /// cache takes 32 KiB and lasts for one segment of the block at most.
    pub cache_keccak: bool,
    /// Whether threads avoid the core that the calling thread uses when it wakes them (Linux
    /// only, and only if the executor has no more threads than there are cores). In virtual
    /// machines, Linux tends to wake a thread on the core of its waker although other cores are
    /// idle, where it waits until the waker blocks. The set of allowed cores is read once, when the
    /// threads start.
    pub spread_workers: bool,
    /// Gas after which a chunk ends early, between two transactions, if it holds up the frontier.
    pub patience: u64,
}

/// How execution treats an invalid transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// An invalid transaction makes the block invalid: execution fails with an error that names it.
    #[default]
    Validate,
    /// Invalid transactions are skipped and the others run, as in
    /// [`build`](crate::BlockRequest::build).
    Build,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            max_speculative_runs: SPECULATIVE_RUNS,
            window_per_worker: WINDOW_PER_WORKER,
            chunk: None,
            share_journals: true,
            cache_keccak: true,
            spread_workers: true,
            patience: PATIENCE_GAS,
        }
    }
}

impl EngineConfig {
    /// Maximum of `window_per_worker`.
    #[cfg(feature = "evm")]
    const MAX_WINDOW: u32 = 65_536;

    /// Returns the configuration with each value clamped to its bounds.
    #[cfg(feature = "evm")]
    fn clamped(self) -> Self {
        Self {
            max_speculative_runs: self.max_speculative_runs.max(1),
            window_per_worker: self.window_per_worker.clamp(1, Self::MAX_WINDOW),
            ..self
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().ok();
        let workers = cores.and_then(|cores| NonZeroU16::try_from(cores).ok());
        Self {
            workers: workers.unwrap_or(NonZeroU16::MIN),
            io_workers: None,
            access_list: false,
            keep_changes: false,
            policy: Policy::default(),
            reverts: true,
            learn: true,
            engine: EngineConfig::default(),
        }
    }
}

impl Config {
    /// Maximum of `workers` in [`builder`](Self::builder).
    pub(crate) const MAX_WORKERS: u16 = 1_024;
    /// Maximum of `io_workers` in [`builder`](Self::builder).
    pub(crate) const MAX_IO_WORKERS: u16 = 8_192;

    /// Returns a builder that checks all values in [`build`](ConfigBuilder::build).
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// Returns the default configuration with `workers` workers.
    #[must_use]
    pub fn with_workers(workers: NonZeroU16) -> Self {
        Self { workers, ..Self::default() }
    }

    /// Returns the configuration with each value clamped to its bounds.
    #[cfg(feature = "evm")]
    pub(crate) fn clamped(self) -> Self {
        let max = |max: u16| NonZeroU16::new(max).unwrap_or(NonZeroU16::MAX);
        let workers = self.workers.min(max(Self::MAX_WORKERS));
        let io_workers =
            self.io_workers.map(|count| count.clamp(workers, max(Self::MAX_IO_WORKERS)));
        Self { workers, io_workers, engine: self.engine.clamped(), ..self }
    }

    /// Returns the number of workers for slow storage.
    #[cfg(feature = "evm")]
    pub(crate) fn slow_storage_workers(&self) -> u16 {
        match (self.workers.get(), self.io_workers) {
            (1, None) => 1,
            (workers, None) => workers.saturating_mul(IO_WORKERS_PER_WORKER),
            (workers, Some(io_workers)) => workers.max(io_workers.get()),
        }
    }

    /// Returns the protocol's limits for `workers` workers. `fallback` is the amount of waste at
    /// which the protocol stops speculating; `None` means that storage is slow.
    #[cfg_attr(
        not(any(feature = "evm", test)),
        expect(dead_code, reason = "used by the Ethereum layer")
    )]
    pub(crate) fn limits(&self, workers: usize, fallback: Option<Waste>) -> Limits {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        // All other forced strategies run to the end of the block.
        let may_end_early = matches!(self.policy, Policy::Auto | Policy::Forced(Forced::Alternate));
        let job_capacity = workers.saturating_mul(JOBS_PER_WORKER);
        let per_worker = self.engine.window_per_worker.max(1);
        let widest = per_worker.saturating_mul(workers);
        // On slow storage speculation never ends early, and the window is as wide as possible,
        // because it hides the latency.
        let is_slow_storage = fallback.is_none();
        // A smaller window would leave some workers without a job.
        let narrow = per_worker.saturating_mul(WINDOW_WORKERS).max(job_capacity);
        Limits {
            window: if is_slow_storage { widest } else { widest.min(narrow) },
            job_capacity,
            max_speculative_runs: self.engine.max_speculative_runs.max(1),
            skip_rejected: self.engine.mode == Mode::Build,
            shared_chunks: self.engine.share_journals,
            fallback: fallback.filter(|_| may_end_early),
        }
    }

    /// Returns whether transactions may run before all lower ones have committed. If not, the whole
    /// block runs sequentially.
    #[cfg(feature = "evm")]
    pub(crate) fn may_speculate(&self) -> bool {
        match self.policy {
            Policy::Auto => self.slow_storage_workers() > 1,
            Policy::Sequential => false,
            Policy::Forced(_) => true,
        }
    }

    /// Returns the number of store shards: enough that workers rarely contend for one, and at most
    /// one per transaction.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn shards(&self, workers: usize, transactions: usize) -> usize {
        transactions.clamp(1, workers.saturating_mul(SHARDS_PER_WORKER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "evm")]
    #[test]
    fn the_nearest_number_that_is_allowed_counts() {
        let count = |count| NonZeroU16::new(count).expect("not 0");
        let config = |workers, io_workers, each| Config {
            io_workers: Some(count(io_workers)),
            engine: EngineConfig {
                max_speculative_runs: each,
                window_per_worker: each,
                ..EngineConfig::default()
            },
            ..Config::with_workers(count(workers))
        };
        for (given, allowed) in [
            (config(1_500, 9_000, 0), config(1_024, 8_192, 1)),
            (config(8, 3, 7), config(8, 8, 7)),
            (config(1, 1, 1), config(1, 1, 1)),
        ] {
            assert_eq!(given.clamped(), allowed);
        }
        let wide = EngineConfig { window_per_worker: u32::MAX, ..EngineConfig::default() };
        assert_eq!(wide.clamped().window_per_worker, EngineConfig::MAX_WINDOW);
        assert_eq!(Config::with_workers(count(u16::MAX)).clamped().slow_storage_workers(), 8_192);
        assert_eq!(Config::default().clamped(), Config::default());
    }

    #[test]
    fn the_window_grows_for_two_workers_and_where_storage_is_slow() {
        let config = |each| Config {
            engine: EngineConfig { window_per_worker: each, ..EngineConfig::default() },
            ..Config::default()
        };
        let window = |each, workers, waste| config(each).limits(workers, waste).window;
        let may_fall_back = Some(Waste::default());
        let usual = [1, 2, 3, 16, 100].map(|workers| window(64, workers, may_fall_back));
        assert_eq!(usual, [64, 128, 128, 128, 200]);
        assert_eq!([2, 16].map(|workers| window(64, workers, None)), [128, 1_024]);
        assert_eq!([1, 8].map(|workers| window(1, workers, may_fall_back)), [1, 8]);
    }

    #[test]
    fn forced_strategies_run_to_the_end_of_the_block() {
        let forced = Policy::Forced;
        for (policy, may_end_early) in [
            (Policy::Auto, true),
            (forced(Forced::Speculative), false),
            (forced(Forced::ContiguousBatches), false),
            (forced(Forced::AccessList), false),
            // Its segments must end.
            (forced(Forced::Alternate), true),
        ] {
            let config = Config { policy, ..Config::default() };
            let limits = config.limits(2, Some(Waste::default()));
            assert_eq!(limits.fallback.is_some(), may_end_early, "{policy:?}");
        }
    }
}
