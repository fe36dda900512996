//! Choices of the execution, drawn from the last bytes of an input.
//!
//! The first bytes make the block. Choices are read from the end, so that the fuzzer changes one
//! without the other.

use braid_evm::runtime::simulated::{Options, Schedule};
use braid_evm::{Config, Forced, Mode, Policy};
use std::num::{NonZeroU16, NonZeroU32};

/// Number of bytes at the end of an input that are choices.
pub(super) const CHOICES: usize = 24;

/// Far more steps than any block of the generator takes.
const STEP_LIMIT: u64 = 4_000_000;

/// Every policy; batches are drawn twice as often.
pub(super) const POLICIES: [Policy; 6] = [
    Policy::Forced(Forced::Speculative),
    Policy::Forced(Forced::ContiguousBatches),
    Policy::Forced(Forced::ContiguousBatches),
    Policy::Forced(Forced::Alternate),
    Policy::Auto,
    Policy::Sequential,
];

/// Draws one choice per byte, starting at the end of an input, and zeros once the bytes are used
/// up.
#[derive(Debug)]
pub(super) struct Choices<'a> {
    left: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { left: input.get(input.len().saturating_sub(CHOICES)..).unwrap_or(input) }
    }

    pub(super) fn byte(&mut self) -> u8 {
        match self.left.split_last() {
            Some((last, left)) => {
                self.left = left;
                *last
            }
            None => 0,
        }
    }

    /// Returns true for `percent` of all byte values, but never for 0.
    pub(super) fn percent(&mut self, percent: u16) -> bool {
        u16::from(self.byte()) * 100 >= (100 - percent.min(100)) * 256
    }

    /// Returns one of `items`.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, items: [T; N]) -> T {
        const { assert!(N > 0 && N < 256, "a byte chooses") };
        items[usize::from(self.byte()) % N]
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes([0; 8].map(|_: u8| self.byte()))
    }

    /// Returns a configuration of the executor with one of `policies`.
    pub(super) fn config<const N: usize>(&mut self, policies: [Policy; N]) -> Config {
        let workers = NonZeroU16::new(self.pick([2, 1, 3, 4, 2, 5, 6, 7, 8]));
        let workers = workers.unwrap_or(NonZeroU16::MIN);
        let mut config = Config::with_workers(workers);
        config.policy = self.pick(policies);
        config.engine.mode = self.pick([Mode::Build, Mode::Validate]);
        config.engine.chunk = NonZeroU32::new(self.pick([0, 0, 1, 2, 3, 7, 64]));
        (config.engine.max_speculative_runs, config.engine.window_per_worker) =
            self.pick([(4, 64), (4, 8), (1, 1), (2, 2), (1, 64), (3, 8)]);
        config.engine.patience = self.pick([1_000_000, 0, 1, 50_000, 400_000]);
        let switches = self.byte();
        config.engine.share_journals = switches & 3 != 3;
        config.engine.cache_keccak = switches & 12 != 12;
        // Reused executors give the same result for an input in any case, but they take the same
        // path only if they learn nothing.
        config.learn = false;
        config.io_workers = Some(workers);
        config
    }

    /// Returns a schedule of the workers of `config` on fibers.
    pub(super) fn schedule(&mut self, config: &Config) -> Options {
        let kind = self.byte();
        let mut options = Options::new(config.workers.get(), self.number());
        options.step_limit = STEP_LIMIT;
        options.schedule = match kind % 8 {
            0..=3 => Schedule::Random,
            4 | 5 => Schedule::Bursts(1 + u64::from(kind / 8)),
            _ => Schedule::Priorities(1 + u32::from(kind / 8)),
        };
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_come_from_the_end_and_end_with_zeros() {
        let mut choices = Choices::new(&[9, 1, 255]);
        assert!(choices.percent(1));
        assert!(!choices.percent(1));
        assert_eq!(choices.pick([0, 1, 2, 3, 4]), 4);
        assert_eq!((choices.byte(), choices.number()), (0, 0));
        assert_eq!(Choices::new(&[1; 2 * CHOICES]).left.len(), CHOICES);
    }

    #[test]
    fn every_policy_and_number_of_workers_can_be_chosen() {
        let mut seen = std::collections::BTreeSet::new();
        for workers in 0..9 {
            for policy in 0..6 {
                let config = Choices::new(&[policy, workers]).config(POLICIES);
                seen.insert((config.workers.get(), format!("{:?}", config.policy)));
            }
        }
        let policies = POLICIES.map(|policy| format!("{policy:?}"));
        let policies = std::collections::BTreeSet::from(policies);
        assert_eq!(seen.len(), 8 * policies.len());
    }
}
