//! Options that several commands have.

use braid_evm::{Forced, Policy};
use clap::ValueEnum;
use std::{num::NonZeroU16, time::Duration};

/// Parses a number of workers.
///
/// # Errors
/// The text is not a number from 1 to 65535.
pub fn workers_from(text: &str) -> Result<NonZeroU16, &'static str> {
    text.parse().map_err(|_| "expected a number from 1 to 65535")
}

/// Parses a time with its unit: `20us`, `1ms`.
///
/// # Errors
/// The text is not an integer with one of the units `s`, `ms`, `us` and `ns`, or the time exceeds
/// 2^64 ns.
pub fn time_from(text: &str) -> Result<Duration, String> {
    let units = [("us", 1_000), ("ms", 1_000_000), ("ns", 1), ("s", 1_000_000_000)];
    let found = units.iter().find_map(|(unit, nanos)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(*nanos)
    });
    found
        .map(Duration::from_nanos)
        .ok_or_else(|| format!("expected a time such as 20us or 1ms, found {text:?}"))
}

/// Parses a pause: a time with its unit, or 0.
///
/// # Errors
/// As for [`time_from`].
pub fn pause_from(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { time_from(text) }
}

/// Which strategies the executor may use.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum PolicyArg {
    /// Speculate where it pays
    #[default]
    Auto,
    /// Always speculate
    Speculative,
    /// Contiguous batches of a few transactions, alternating with sequential ones
    ContiguousBatches,
    /// Run all transactions sequentially
    Sequential,
}

impl PolicyArg {
    /// Converts the option into the library's policy.
    #[must_use]
    pub const fn policy(self) -> Policy {
        match self {
            Self::Auto => Policy::Auto,
            Self::Speculative => Policy::Forced(Forced::Speculative),
            Self::ContiguousBatches => Policy::Forced(Forced::ContiguousBatches),
            Self::Sequential => Policy::Sequential,
        }
    }
}
