//! Numbers and addresses that depend only on a seed.

use alloy_primitives::{Address, B256, keccak256};

/// A generator of pseudo-random numbers: xoshiro256++, whose state comes from a hash of the seed
/// and of a name, so that differently named streams of one seed are independent.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// Creates the stream called `name` of `seed`.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        let hash = derive(seed, name, 0).0;
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&hash[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        // Only the state of four zeros would be a fixed point; no hash seen so far is zero.
        Self { state: [word(0), word(8), word(16), word(24)] }
    }

    /// Returns the next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        let (c, d) = (c ^ a, d ^ b);
        let (b, a) = (b ^ c, a ^ d);
        self.state = [a, b, c ^ shifted, d.rotate_left(45)];
        result
    }

    /// Returns a number below `bound`; 0 if `bound` is 0. The bias is below `bound` / 2^64.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.bits() as u128 * bound as u128) >> 64) as u64
    }

    /// Returns true with a probability of `percent`; never for 0, always from 100 on.
    pub const fn percent(&mut self, percent: u8) -> bool {
        self.below(100) < percent as u64
    }

    /// Returns a number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Shuffles `items`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u64 + 1) as usize);
        }
    }
}

/// Derives 32 bytes for index `index` of the objects called `name`, under `seed`.
#[must_use]
pub fn derive(seed: u64, name: &str, index: u64) -> B256 {
    let mut input = Vec::with_capacity(name.len() + 16);
    input.extend_from_slice(name.as_bytes());
    input.extend_from_slice(&seed.to_be_bytes());
    input.extend_from_slice(&index.to_be_bytes());
    keccak256(input)
}

/// Derives the address for index `index` of the objects called `name`, under `seed`.
#[must_use]
pub fn address(seed: u64, name: &str, index: u64) -> Address {
    Address::from_word(derive(seed, name, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_and_name_only() {
        let first = |seed, name| Random::new(seed, name).bits();
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
        assert_ne!(address(1, "a", 0), address(1, "a", 1));
    }

    #[test]
    fn numbers_stay_in_range_and_spread() {
        let mut random = Random::new(7, "range");
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[random.below(10) as usize] += 1;
            let number = random.between(5, 9);
            assert!((5..=9).contains(&number));
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn percentages_are_exact_at_both_ends() {
        let mut random = Random::new(7, "percent");
        let mut share = |percent| (0..1_000).filter(|_| random.percent(percent)).count();
        assert_eq!(share(0), 0);
        assert_eq!(share(100), 1_000);
        assert!((230..370).contains(&share(30)));
    }

    #[test]
    fn shuffling_keeps_all_items() {
        let mut items: Vec<u32> = (0..100).collect();
        Random::new(7, "shuffle").shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
