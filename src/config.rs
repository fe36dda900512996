//! Choices of an executor.

mod builder;

pub use builder::{ConfigBuilder, ConfigError};

use crate::protocol::{self, Limits, Waste};
use std::num::{NonZeroU16, NonZeroU32};

/// What an invalid transaction does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Mode {
    /// It makes the block invalid: execution ends with an error that names it.
    #[default]
    Validate,
    /// It is left out, and the rest goes on: for builders.
    Build,
}

/// How the transactions of a block run. It may change speed, never a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Policy {
    /// As is probably fastest: [`BlockOutput::path`](crate::BlockOutput::path) says how, and why.
    #[default]
    Auto,
    /// One after the other, on the calling thread.
    InOrder,
    /// In one way, whether it pays or not: for tests (feature `testing`).
    #[doc(hidden)]
    #[cfg_attr(all(feature = "serde", not(feature = "testing")), serde(skip))]
    Forced(Forced),
}

/// A way in which tests force transactions to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Forced {
    /// Speculatively, always.
    Speculative,
    /// Speculatively and in order by turns of a few transactions.
    Alternate,
    /// In private batches of a few neighbours, and a few in order, by turns.
    Neighbours,
    /// In short rounds of batches by sender and call, and a few in order, by turns.
    Groups,
    /// In private batches of a few neighbours that read the block's access list, and in order what
    /// cannot be told from it; without a list in order.
    AccessList,
    /// In rounds of batches by what transactions declare; in order if they declare nothing.
    Declared,
}

impl Policy {
    /// What it is for the engine, where transactions run speculatively.
    const fn of_protocol(self) -> protocol::Policy {
        match self {
            Self::Auto => protocol::Policy::Auto,
            Self::InOrder => protocol::Policy::InOrder,
            Self::Forced(Forced::Alternate) => protocol::Policy::Alternate,
            Self::Forced(_) => protocol::Policy::ForceSpeculative,
        }
    }
}

/// Choices of an executor. No choice but [`mode`](Self::mode), [`reverts`](Self::reverts) and
/// [`access_list`](Self::access_list) changes a result.
///
/// [`builder`](Self::builder) checks what it is given; [`default`](Self::default) and an assignment
/// to a field do for a program's own constants, and a number out of bounds then counts as the
/// nearest one that is allowed. With the feature `serde` a configuration can be read from a file
/// and written: fields that are left out have their default, the others are checked in the same
/// way.
///
/// ```
/// use braid_evm::{Config, Mode};
///
/// let config = Config::builder().workers(8).mode(Mode::Build).build()?;
/// assert_eq!(config.workers.get(), 8);
/// let error = Config::builder().window_per_worker(0).build().unwrap_err();
/// assert_eq!(error.field, "window_per_worker");
/// # Ok::<_, braid_evm::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "ConfigBuilder", into = "ConfigBuilder"))]
#[non_exhaustive]
pub struct Config {
    /// Workers, the calling thread included. Default: one for each core. No more of them run than
    /// have something to do, and of transactions that may meet no more than eight at a time.
    pub workers: NonZeroU16,
    /// Workers while most of them wait for the database, as the last block has shown, so that
    /// others run meanwhile. Default (`None`): eight times [`workers`](Self::workers); one worker
    /// stays alone. As many as `workers`: never more, for a database that answers one at a time (or
    /// see [`reads_overlap`](crate::StateSource::reads_overlap)).
    /// [`execute_scoped`](crate::execute_scoped) has no last block and takes no more than usual.
    pub io_workers: Option<NonZeroU16>,
    /// What an invalid transaction does.
    pub mode: Mode,
    /// Whether to record what the block accesses, in
    /// [`BlockOutput::access_list`](crate::BlockOutput::access_list) (EIP-7928). Default: no.
    pub access_list: bool,
    /// Whether to keep what each transaction changes, so that
    /// [`BlockOutput::replay`](crate::BlockOutput::replay) can run one again with an inspector.
    /// Default: no. It costs what
    /// [`on_commit`](crate::BlockRequest::on_commit) costs, and the memory of all
    /// changes for as long as the output lives.
    pub keeps_changes: bool,
    /// How transactions run.
    pub policy: Policy,
    /// Whether the bundle keeps what is needed to undo the block. Default: yes.
    pub reverts: bool,
    /// Runs of one transaction before it has to wait until everything below it is committed.
    pub max_speculative_runs: u32,
    /// Transactions that may be dispatched ahead of the lowest uncommitted one, for each of the
    /// first two workers, or for each of all workers where storage is slow: the bound on memory for
    /// results that wait. There are at least two for each worker.
    pub window_per_worker: u32,
    /// Transactions that are dispatched together, at most; `None`: chosen from the size of the
    /// block.
    pub chunk: Option<NonZeroU32>,
    /// Whether transactions that are dispatched together share a journal, so that what one of them
    /// has read the next one finds. Default: yes; never before Spurious Dragon.
    pub share_journals: bool,
    /// Whether a worker's EVM remembers up to 256 inputs of KECCAK256, of those of up to 95 bytes,
    /// and their hashes, for a stretch of the block at most: 32 KiB. Default: yes; no where
    /// [`keccak256`](alloy_primitives::keccak256) remembers by itself (alloy-primitives' feature
    /// `keccak-cache-global`).
    pub cache_keccak: bool,
    /// Whether an executor remembers calls - contract, function and first argument - whose
    /// speculation was given up, and runs blocks of such calls, or the rest of one, in order from
    /// the start; and functions that took long, whose calls it begins before their turn, as it does
    /// with unknown ones that ask for very much gas. Default: yes; no where one executor serves
    /// chains that have nothing to do with each other, or measurements in which no block may know
    /// of another.
    pub learn: bool,
    /// Whether the threads of an executor that has no more of them than there are cores keep off
    /// the core that the calling thread is on when it hands out work (on Linux). Default: yes.
    /// Virtual machines' systems wake threads on the core of their waker, although others are idle;
    /// there they wait until their waker has nothing to do. What else they may run on is asked
    /// once, when they start.
    pub spread_workers: bool,
    /// Gas of a chunk's transactions from which on it ends early if it holds the frontier up.
    pub patience: u64,
}

/// Workers for each usual one while reads take long.
#[cfg(feature = "evm")]
const IO_WORKERS_EACH: u16 = 8;

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().ok();
        let workers = cores.and_then(|cores| NonZeroU16::try_from(cores).ok());
        Self {
            workers: workers.unwrap_or(NonZeroU16::MIN),
            io_workers: None,
            mode: Mode::default(),
            access_list: false,
            keeps_changes: false,
            policy: Policy::default(),
            reverts: true,
            max_speculative_runs: 4,
            window_per_worker: 64,
            chunk: None,
            share_journals: true,
            cache_keccak: true,
            learn: true,
            spread_workers: true,
            patience: 1_000_000,
        }
    }
}

/// Workers for which the window grows. The further ahead a guess is the more often it is wrong,
/// with any number of workers.
const WINDOW_FOR: u32 = 2;

impl Config {
    /// Most workers that [`builder`](Self::builder) allows.
    pub(crate) const MOST_WORKERS: u16 = 1_024;
    /// Most workers on slow storage that it allows.
    pub(crate) const MOST_IO_WORKERS: u16 = 8_192;
    /// Widest window for each worker that it allows.
    pub(crate) const MOST_WINDOW: u32 = 65_536;

    /// Choices that are checked when all of them are made.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// The default with this number of workers.
    #[must_use]
    pub fn with_workers(workers: NonZeroU16) -> Self {
        Self { workers, ..Self::default() }
    }

    /// The same choices, with the nearest allowed number for each one that is out of bounds.
    #[cfg(feature = "evm")]
    pub(crate) fn within_bounds(self) -> Self {
        let most = |most: u16| NonZeroU16::new(most).unwrap_or(NonZeroU16::MAX);
        let workers = self.workers.min(most(Self::MOST_WORKERS));
        let io_workers =
            self.io_workers.map(|count| count.clamp(workers, most(Self::MOST_IO_WORKERS)));
        Self {
            workers,
            io_workers,
            max_speculative_runs: self.max_speculative_runs.max(1),
            window_per_worker: self.window_per_worker.clamp(1, Self::MOST_WINDOW),
            ..self
        }
    }

    /// Workers where storage is slow.
    #[cfg(feature = "evm")]
    pub(crate) fn most_workers(&self) -> u16 {
        match (self.workers.get(), self.io_workers) {
            (1, None) => 1,
            (workers, None) => workers.saturating_mul(IO_WORKERS_EACH),
            (workers, Some(most)) => workers.max(most.get()),
        }
    }

    /// Bounds of the protocol for `workers` workers. `alone`: there is no other worker to speculate
    /// with. `hands_over`: the caller goes on by other means where that much was wasted.
    #[cfg_attr(
        not(any(feature = "evm", test)),
        expect(dead_code, reason = "used by the Ethereum layer")
    )]
    pub(crate) fn limits(&self, workers: usize, alone: bool, hands_over: Option<Waste>) -> Limits {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        let in_order = alone && self.policy != Policy::Forced(Forced::Speculative);
        // One job on each worker and one waiting for it.
        let job_capacity = workers.saturating_mul(2);
        let each = self.window_per_worker.max(1);
        let all = each.saturating_mul(workers);
        // On slow storage speculation is never given up, and the window is as wide as possible: it
        // is what hides latency.
        let waits = hands_over.is_none();
        // With fewer transactions than that some workers would have no job, however short.
        let most = each.saturating_mul(WINDOW_FOR).max(job_capacity);
        Limits {
            window: if waits { all } else { all.min(most) },
            job_capacity,
            max_speculative_runs: self.max_speculative_runs.max(1),
            policy: if in_order { protocol::Policy::InOrder } else { self.policy.of_protocol() },
            skip_rejected: self.mode == Mode::Build,
            shared_chunks: self.share_journals,
            hands_over,
            hands_over_rest: false,
            stride: u32::MAX,
        }
    }

    /// Whether transactions may run before their turn. If not, the whole block runs in order.
    #[cfg(feature = "evm")]
    pub(crate) fn may_run_ahead(&self) -> bool {
        match self.policy {
            Policy::Auto => self.most_workers() > 1,
            Policy::InOrder => false,
            Policy::Forced(_) => true,
        }
    }

    /// Number of shards of the store: enough that workers seldom meet in one, and few for a small
    /// block.
    #[cfg_attr(not(feature = "evm"), expect(dead_code, reason = "used by the Ethereum layer"))]
    pub(crate) fn shards(&self, workers: usize, transactions: usize) -> usize {
        transactions.clamp(1, workers.saturating_mul(16))
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
            max_speculative_runs: each,
            window_per_worker: each,
            ..Config::with_workers(count(workers))
        };
        for (given, allowed) in [
            (config(1_500, 9_000, 0), config(1_024, 8_192, 1)),
            (config(8, 3, 7), config(8, 8, 7)),
            (config(1, 1, 1), config(1, 1, 1)),
        ] {
            assert_eq!(given.within_bounds(), allowed);
        }
        let wide = Config { window_per_worker: u32::MAX, ..Config::default() };
        assert_eq!(wide.within_bounds().window_per_worker, Config::MOST_WINDOW);
        assert_eq!(Config::with_workers(count(u16::MAX)).within_bounds().most_workers(), 8_192);
        assert_eq!(Config::default().within_bounds(), Config::default());
    }

    #[test]
    fn the_window_grows_for_two_workers_and_where_storage_is_slow() {
        let config = |each| Config { window_per_worker: each, ..Config::default() };
        let window = |each, workers, waste| config(each).limits(workers, false, waste).window;
        let gives_up = Some(Waste::default());
        let usual = [1, 2, 3, 16, 100].map(|workers| window(64, workers, gives_up));
        assert_eq!(usual, [64, 128, 128, 128, 200]);
        assert_eq!([2, 16].map(|workers| window(64, workers, None)), [128, 1_024]);
        assert_eq!([1, 8].map(|workers| window(1, workers, gives_up)), [1, 8]);
    }
}
