//! Difficulty of a block before the merge: Yellow Paper section 4.3.4, EIP-2, EIP-100, EIP-649 and
//! the later delays of the bomb.

use super::fork::Fork;
use alloy_primitives::{B256, I256, U256, b256};
use revm::primitives::hardfork::SpecId;

/// Minimum difficulty.
const MINIMUM: u64 = 131_072;

/// Hash of an empty list of ommers.
const NO_OMMERS: B256 = b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// The fields of the parent that determine the difficulty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    pub(super) difficulty: U256,
    /// Unix time in seconds.
    pub(super) timestamp: u64,
    pub(super) ommers_hash: Option<B256>,
}

/// Returns the difficulty of block `number` at `timestamp`, which is later than the parent's.
pub(super) fn difficulty(fork: &Fork, number: u64, timestamp: u64, parent: &Parent) -> U256 {
    let since = |spec| fork.spec.is_enabled_in(spec);
    let elapsed = i64::try_from(timestamp.saturating_sub(parent.timestamp)).unwrap_or(i64::MAX);
    let steps = if since(SpecId::BYZANTIUM) {
        let ommers = parent.ommers_hash.is_some_and(|hash| !hash.is_zero() && hash != NO_OMMERS);
        (if ommers { 2 } else { 1 } - elapsed / 9).max(-99)
    } else if since(SpecId::HOMESTEAD) {
        (1 - elapsed / 10).max(-99)
    } else if elapsed < 13 {
        1
    } else {
        -1
    };
    let part = I256::try_from(parent.difficulty >> 11).unwrap_or_default();
    let moved = I256::try_from(steps).unwrap_or_default().saturating_mul(part);
    let plain = I256::try_from(parent.difficulty).unwrap_or(I256::MAX).saturating_add(moved);
    let plain = U256::try_from(plain).unwrap_or_default().max(U256::from(MINIMUM));
    let periods = number.saturating_sub(fork.bomb_delay) / 100_000;
    match periods.checked_sub(2) {
        Some(exponent) if exponent < 255 => plain.saturating_add(U256::ONE << exponent),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::t8n::fork::find;

    fn on(fork: &str, number: u64, elapsed: u64) -> u64 {
        let difficulty_before = U256::from(0x20_0000_u64);
        let parent = Parent { difficulty: difficulty_before, timestamp: 1, ommers_hash: None };
        let fork = find(fork, number, 0).unwrap();
        difficulty(&fork, number, 1 + elapsed, &parent).to()
    }

    #[test]
    fn late_blocks_are_easier_and_the_bomb_is_put_off() {
        let before = 0x20_0000;
        assert_eq!(on("Frontier", 1, 12), before + before / 2048);
        assert_eq!(on("Frontier", 1, 13), before - before / 2048);
        assert_eq!(on("Homestead", 1, 25), before - before / 2048);
        assert_eq!(on("Berlin", 1, 9), before);
        assert_eq!(on("Berlin", 1, 1_000_000), before - 99 * (before / 2048));
        assert_eq!(on("Homestead", 300_000, 10), before + 2);
        assert_eq!(on("Berlin", 9_300_000, 9), before + 2);
        assert_eq!(on("London", 9_300_000, 9), before);
    }

    #[test]
    fn no_block_is_easier_than_the_minimum() {
        let parent = Parent { difficulty: U256::ONE, timestamp: 0, ommers_hash: None };
        let fork = find("Berlin", 1, 0).unwrap();
        assert_eq!(difficulty(&fork, 1, 99, &parent), U256::from(MINIMUM));
    }
}
