//! KECCAK256 that remembers: contracts hash little else than keys of mappings, most of them more
//! than once.

use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use alloy_primitives::{B256, keccak256};
use core::hash::BuildHasher;
use foldhash::fast::FixedState;

/// Longest input that is remembered, in bytes: a key of a mapping has 64, the preimage of an
/// address 85. With its length and its hash it fills two lines of cache.
pub(super) const LONGEST_INPUT: usize = 95;

/// Inputs that are remembered at once. Of those of real blocks 64 places find 46 %, 256 find 48 %,
/// 2,048 find 52 %.
const CACHED_INPUTS: usize = 256;

/// Hashes of what a worker has hashed in a stretch of the block. An input has one place, and the
/// last one there stays.
#[derive(Debug)]
pub(super) struct KeccakCache {
    /// None before the first input: many a block hashes nothing.
    places: Vec<CacheEntry>,
    pub(super) mutant: EvmMutant,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct CacheEntry {
    /// Bytes of the input; zero where there is none.
    length: u8,
    input: [u8; LONGEST_INPUT],
    hash: B256,
}

impl CacheEntry {
    const EMPTY: Self = Self { length: 0, input: [0; LONGEST_INPUT], hash: B256::ZERO };

    fn input(&self) -> &[u8] {
        self.input.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Takes `input` and its hash, unless it is too long.
    fn put(&mut self, input: &[u8], hash: B256) {
        if let (Ok(length), Some(room)) =
            (u8::try_from(input.len()), self.input.get_mut(..input.len()))
        {
            room.copy_from_slice(input);
            (self.length, self.hash) = (length, hash);
        }
    }
}

impl KeccakCache {
    pub(super) const fn new(mutant: EvmMutant) -> Self {
        Self { places: Vec::new(), mutant }
    }

    /// The hash of `input`, which has at least one byte and at most [`LONGEST_INPUT`].
    pub(super) fn hash(&mut self, input: &[u8]) -> B256 {
        if self.places.is_empty() {
            self.places = vec![CacheEntry::EMPTY; CACHED_INPUTS];
        }
        // An attacker who finds inputs that share one place makes each of them cost what it costs
        // without the cache.
        let at = FixedState::default().hash_one(input) % CACHED_INPUTS as u64;
        let Some(place) = self.places.get_mut(at as usize) else { return keccak256(input) };
        let same = place.input() == input
            || is_evm_mutant!(self.mutant, HashOfAnother) && place.length > 0;
        if same {
            return place.hash;
        }
        let hash = keccak256(input);
        place.put(input, hash);
        hash
    }
}
