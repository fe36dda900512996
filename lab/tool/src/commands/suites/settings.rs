//! Options that both commands share.

use alloy_primitives::keccak256;
use braid_evm::{Config, Executor, Mode};
use braid_terminal::{PolicyArg, Stop, workers_from};
use clap::Args;
use std::num::NonZeroU16;

/// Options that both commands share, with revme's names.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// Workers that execute transactions [default: one per core]
    #[arg(long, value_name = "N", value_parser = workers_from, conflicts_with = "single_thread")]
    workers: Option<NonZeroU16>,
    /// Run with one worker
    #[arg(short = 's', long)]
    single_thread: bool,
    /// Which strategies the executor may use; results do not depend on it
    #[arg(long, value_enum, default_value_t)]
    policy: PolicyArg,
    /// Print one JSON object per line: one for each test, then the total
    #[arg(short = 'o', long, visible_alias = "json-outcome")]
    pub(super) json: bool,
    /// Continue after a failed test
    #[arg(long, visible_alias = "no-fail-fast")]
    pub(super) keep_going: bool,
    /// Do not show progress
    #[arg(long)]
    pub(super) omit_progress: bool,
    /// Only tests whose file or name contains TEXT
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Only the fork or network of this name
    #[arg(long, value_name = "NAME")]
    fork: Option<String>,
    /// Only one in N files, drawn with --seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    sample: u64,
    /// Seed of everything that is random
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(super) seed: u64,
}

impl Settings {
    /// Starts the executor, whose threads serve all tests. With `lists`, it computes access lists.
    pub(super) fn executor(&self, mode: Mode, lists: bool) -> Result<Executor, Stop> {
        start(self.config(mode, lists))
    }

    /// Returns the executor's configuration.
    pub(super) fn config(&self, mode: Mode, lists: bool) -> Config {
        let mut config = Config::default();
        if let Some(workers) = self.workers {
            config.workers = workers;
        }
        if self.single_thread {
            config.workers = NonZeroU16::MIN;
        }
        config.policy = self.policy.policy();
        (config.engine.mode, config.access_list) = (mode, lists);
        config
    }

    pub(super) fn wants_file(&self, name: &str) -> bool {
        if self.sample <= 1 {
            return true;
        }
        // Only the last component, so that a folder and its archive give the same sample.
        let last = name.rsplit('/').next().unwrap_or(name);
        let hash = keccak256([&self.seed.to_be_bytes()[..], last.as_bytes()].concat());
        let (low, _) = hash.split_at(8);
        let number = low.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        number % self.sample == 0
    }

    pub(super) fn wants_test(&self, file: &str, name: &str) -> bool {
        let filter = self.filter.as_deref();
        filter.is_none_or(|filter| file.contains(filter) || name.contains(filter))
    }

    pub(super) fn wants_fork(&self, fork: &str) -> bool {
        self.fork.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(fork))
    }
}

/// Starts an executor with its threads.
pub(super) fn start(config: Config) -> Result<Executor, Stop> {
    let workers = config.workers;
    Executor::new(config).map_err(|error| Stop::threads(workers, &error))
}
