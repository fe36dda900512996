//! A builder that checks a configuration.

use super::{Config, Mode, Policy};
use core::ops::RangeInclusive;
use std::num::{NonZeroU16, NonZeroU32};

/// A configuration value that is out of bounds, with its field and the allowed values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} is not allowed: set {allowed}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The field of [`Config`], which is also its name in a configuration file.
    pub field: &'static str,
    /// The rejected value.
    pub value: u32,
    /// The allowed values.
    pub allowed: String,
}

/// Sets the fields of a [`Config`] from plain numbers and checks them in [`build`](Self::build).
/// Fields that are not set have their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[must_use = "nothing is checked before `build`"]
pub struct ConfigBuilder {
    workers: Option<u32>,
    io_workers: Option<u32>,
    mode: Mode,
    access_list: bool,
    keeps_changes: bool,
    policy: Policy,
    reverts: bool,
    max_speculative_runs: u32,
    window_per_worker: u32,
    chunk: Option<u32>,
    share_journals: bool,
    cache_keccak: bool,
    learn: bool,
    spread_workers: bool,
    patience: u64,
}

impl Default for ConfigBuilder {
    fn default() -> Self {
        let mut builder = Self::from(Config::default());
        builder.workers = None;
        builder
    }
}

impl From<Config> for ConfigBuilder {
    fn from(config: Config) -> Self {
        Self {
            workers: Some(config.workers.get().into()),
            io_workers: config.io_workers.map(|workers| workers.get().into()),
            mode: config.mode,
            access_list: config.access_list,
            keeps_changes: config.keeps_changes,
            policy: config.policy,
            reverts: config.reverts,
            max_speculative_runs: config.max_speculative_runs,
            window_per_worker: config.window_per_worker,
            chunk: config.chunk.map(NonZeroU32::get),
            share_journals: config.share_journals,
            cache_keccak: config.cache_keccak,
            learn: config.learn,
            spread_workers: config.spread_workers,
            patience: config.patience,
        }
    }
}

impl TryFrom<ConfigBuilder> for Config {
    type Error = ConfigError;

    fn try_from(builder: ConfigBuilder) -> Result<Self, ConfigError> {
        builder.build()
    }
}

/// Each method sets the field of [`Config`] with the same name.
#[expect(missing_docs, reason = "the fields of Config are documented")]
impl ConfigBuilder {
    pub const fn workers(mut self, workers: u32) -> Self {
        self.workers = Some(workers);
        self
    }

    pub const fn io_workers(mut self, workers: u32) -> Self {
        self.io_workers = Some(workers);
        self
    }

    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    pub const fn access_list(mut self, is_asked_for: bool) -> Self {
        self.access_list = is_asked_for;
        self
    }

    pub const fn keeps_changes(mut self, keeps: bool) -> Self {
        self.keeps_changes = keeps;
        self
    }

    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    pub const fn reverts(mut self, keeps: bool) -> Self {
        self.reverts = keeps;
        self
    }

    pub const fn max_speculative_runs(mut self, runs: u32) -> Self {
        self.max_speculative_runs = runs;
        self
    }

    pub const fn window_per_worker(mut self, transactions: u32) -> Self {
        self.window_per_worker = transactions;
        self
    }

    pub const fn chunk(mut self, transactions: u32) -> Self {
        self.chunk = Some(transactions);
        self
    }

    pub const fn share_journals(mut self, shares: bool) -> Self {
        self.share_journals = shares;
        self
    }

    pub const fn cache_keccak(mut self, caches: bool) -> Self {
        self.cache_keccak = caches;
        self
    }

    pub const fn learn(mut self, learns: bool) -> Self {
        self.learn = learns;
        self
    }

    pub const fn spread_workers(mut self, spreads: bool) -> Self {
        self.spread_workers = spreads;
        self
    }

    pub const fn patience(mut self, gas: u64) -> Self {
        self.patience = gas;
        self
    }
}

impl ConfigBuilder {
    /// Returns the configuration if all values are allowed.
    ///
    /// # Errors
    /// Returns an error for the first field, in the order of [`Config`], that is out of bounds.
    pub fn build(self) -> Result<Config, ConfigError> {
        let default = Config::default();
        let most = u32::from(Config::MOST_WORKERS);
        let workers = match self.workers {
            None => default.workers,
            Some(count) => number("workers", count, 1..=most)?,
        };
        let io_workers = match self.io_workers {
            None => None,
            Some(count) => {
                let allowed = u32::from(workers.get())..=u32::from(Config::MOST_IO_WORKERS);
                Some(number("io_workers", count, allowed)?)
            }
        };
        check("max_speculative_runs", self.max_speculative_runs, 1..=u32::MAX)?;
        check("window_per_worker", self.window_per_worker, 1..=Config::MOST_WINDOW)?;
        let chunk = match self.chunk {
            None => None,
            Some(count) => {
                check("chunk", count, 1..=u32::MAX)?;
                NonZeroU32::new(count)
            }
        };
        Ok(Config {
            workers,
            io_workers,
            mode: self.mode,
            access_list: self.access_list,
            keeps_changes: self.keeps_changes,
            policy: self.policy,
            reverts: self.reverts,
            max_speculative_runs: self.max_speculative_runs,
            window_per_worker: self.window_per_worker,
            chunk,
            share_journals: self.share_journals,
            cache_keccak: self.cache_keccak,
            learn: self.learn,
            spread_workers: self.spread_workers,
            patience: self.patience,
        })
    }
}

fn check(field: &'static str, value: u32, bounds: RangeInclusive<u32>) -> Result<(), ConfigError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let least = bounds.start();
    let allowed = match *bounds.end() {
        u32::MAX => format!("{least} or more"),
        most => format!("{least} to {most}"),
    };
    let allowed = match field {
        "workers" => format!("{allowed}, or leave it out for one for each core"),
        "io_workers" => format!("{allowed} (from `workers` on), or leave it out"),
        "chunk" => format!("{allowed}, or leave it out"),
        _ => allowed,
    };
    Err(ConfigError { field, value, allowed })
}

fn number(
    field: &'static str,
    value: u32,
    bounds: RangeInclusive<u32>,
) -> Result<NonZeroU16, ConfigError> {
    check(field, value, bounds)?;
    let small = u16::try_from(value).ok().and_then(NonZeroU16::new);
    small.ok_or_else(|| ConfigError { field, value, allowed: format!("1 to {}", u16::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_its_default() {
        assert_eq!(Config::builder().build(), Ok(Config::default()));
        assert_eq!(ConfigBuilder::from(Config::default()).build(), Ok(Config::default()));
    }

    #[test]
    fn each_setter_sets_its_field() {
        let three = NonZeroU16::new(3).expect("not 0");
        let expected = Config {
            workers: three,
            io_workers: NonZeroU16::new(24),
            mode: Mode::Build,
            access_list: true,
            keeps_changes: true,
            policy: Policy::Sequential,
            reverts: false,
            max_speculative_runs: 9,
            window_per_worker: 17,
            chunk: NonZeroU32::new(5),
            share_journals: false,
            cache_keccak: !Config::default().cache_keccak,
            learn: false,
            spread_workers: false,
            patience: 1,
        };
        let built = Config::builder().workers(3).io_workers(24).mode(Mode::Build);
        let built = built.access_list(true).keeps_changes(true).policy(Policy::Sequential);
        let built = built.reverts(false).max_speculative_runs(9).window_per_worker(17).chunk(5);
        let built = built.share_journals(false).cache_keccak(expected.cache_keccak);
        let built = built.learn(false).spread_workers(false).patience(1);
        assert_eq!(built.build(), Ok(expected));
        assert_eq!(ConfigBuilder::from(expected).build(), Ok(expected));
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let new = Config::builder;
        let workers = "1 to 1024, or leave it out for one for each core";
        let io_workers = "8 to 8192 (from `workers` on), or leave it out";
        for (builder, field, value, allowed) in [
            (new().workers(0), "workers", 0, workers),
            (new().workers(1_025), "workers", 1_025, workers),
            (new().workers(8).io_workers(7), "io_workers", 7, io_workers),
            (new().workers(8).io_workers(70_000), "io_workers", 70_000, io_workers),
            (new().max_speculative_runs(0), "max_speculative_runs", 0, "1 or more"),
            (new().window_per_worker(0), "window_per_worker", 0, "1 to 65536"),
            (new().chunk(0), "chunk", 0, "1 or more, or leave it out"),
        ] {
            let error = builder.build().expect_err("it is out of bounds");
            let words = format!("{field}: {value} is not allowed: set {allowed}");
            assert_eq!((error.field, error.value, error.to_string()), (field, value, words));
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_file_is_checked_as_the_builder_is() {
        let read = serde_json::from_str::<Config>;
        let config = Config::builder().workers(3).mode(Mode::Build).build().expect("allowed");
        let text = serde_json::to_string(&config).expect("it can be written");
        assert_eq!(read(&text).expect("it was written"), config);
        let few = read(r#"{"workers": 3, "mode": "build"}"#).expect("the rest has defaults");
        assert_eq!(few, config);
        for (text, words) in [
            (r#"{"workers": 0}"#, "workers: 0 is not allowed"),
            (r#"{"workres": 2}"#, "unknown field `workres`"),
            (r#"{"policy": "fast"}"#, "unknown variant `fast`"),
        ] {
            let error = read(text).expect_err("it is wrong").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
