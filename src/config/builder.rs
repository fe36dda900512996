//! A builder that checks a configuration.

use super::{Config, EngineConfig, Policy};
use core::ops::RangeInclusive;
use std::num::NonZeroU16;

/// Error for a configuration value that is out of bounds.
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
    access_list: bool,
    keep_changes: bool,
    policy: Policy,
    reverts: bool,
    learn: bool,
    #[cfg_attr(feature = "serde", serde(skip))]
    engine: EngineConfig,
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
            access_list: config.access_list,
            keep_changes: config.keep_changes,
            policy: config.policy,
            reverts: config.reverts,
            learn: config.learn,
            engine: config.engine,
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

    pub const fn access_list(mut self, enabled: bool) -> Self {
        self.access_list = enabled;
        self
    }

    pub const fn keep_changes(mut self, enabled: bool) -> Self {
        self.keep_changes = enabled;
        self
    }

    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    pub const fn reverts(mut self, enabled: bool) -> Self {
        self.reverts = enabled;
        self
    }

    pub const fn learn(mut self, enabled: bool) -> Self {
        self.learn = enabled;
        self
    }

    #[doc(hidden)]
    pub const fn engine(mut self, engine: EngineConfig) -> Self {
        self.engine = engine;
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
        let max = u32::from(Config::MAX_WORKERS);
        let workers = match self.workers {
            None => default.workers,
            Some(count) => {
                check_bounds("workers", count, 1..=max, ", or leave it out for one for each core")?
            }
        };
        let io_workers = match self.io_workers {
            None => None,
            Some(count) => {
                let allowed = u32::from(workers.get())..=u32::from(Config::MAX_IO_WORKERS);
                let advice = " (from `workers` on), or leave it out";
                Some(check_bounds("io_workers", count, allowed, advice)?)
            }
        };
        Ok(Config {
            workers,
            io_workers,
            access_list: self.access_list,
            keep_changes: self.keep_changes,
            policy: self.policy,
            reverts: self.reverts,
            learn: self.learn,
            engine: self.engine,
        })
    }
}

/// Returns `value` if it is within `bounds`. `advice` follows the bounds in the error message.
fn check_bounds(
    field: &'static str,
    value: u32,
    bounds: RangeInclusive<u32>,
    advice: &str,
) -> Result<NonZeroU16, ConfigError> {
    let small = u16::try_from(value).ok().and_then(NonZeroU16::new);
    small.filter(|_| bounds.contains(&value)).ok_or_else(|| {
        let (min, max) = bounds.into_inner();
        ConfigError { field, value, allowed: format!("{min} to {max}{advice}") }
    })
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
            access_list: true,
            keep_changes: true,
            policy: Policy::Sequential,
            reverts: false,
            learn: false,
            engine: EngineConfig { patience: 1, ..EngineConfig::default() },
        };
        let built = Config::builder().workers(3).io_workers(24).access_list(true);
        let built = built.keep_changes(true).policy(Policy::Sequential).reverts(false);
        let built = built.learn(false).engine(expected.engine);
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
        let config = Config::builder().workers(3).learn(false).build().expect("allowed");
        let text = serde_json::to_string(&config).expect("it can be written");
        assert_eq!(read(&text).expect("it was written"), config);
        let few = read(r#"{"workers": 3, "learn": false}"#).expect("the rest has defaults");
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
