//! Finds the variable of a storage slot through the hashes that contracts compute for mappings and
//! arrays.

use alloy_primitives::U256;
use std::collections::BTreeMap;

/// Maximum number of slots of a structure in a mapping.
const LARGEST_STRUCTURE: u64 = 64;
/// Maximum number of slots of an array.
const LONGEST_ARRAY: u64 = 1 << 16;
/// Maximum number of slots for variables; a larger number is a hash, or no slot.
const MOST_VARIABLES: u64 = 1 << 16;
/// Maximum nesting of mappings.
const DEEPEST: usize = 8;

/// Inputs of the hashes that a block computes, by hash.
#[derive(Clone, Debug, Default)]
pub struct Preimages {
    inputs: BTreeMap<U256, Vec<u8>>,
}

/// Path to a slot: a variable, and the look-ups from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotPath {
    /// Slot of the variable; the slot itself, if no known hash leads to it.
    pub root: U256,
    /// Look-ups, in order.
    pub steps: Vec<Step>,
}

/// A look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// In a mapping: the key, as 32 bytes.
    Key(U256),
    /// In a mapping with keys of dynamic length.
    Bytes(Vec<u8>),
    /// In an array or in bytes: the slot, relative to the start.
    Element(u64),
    /// In a structure: the slot, from 1.
    Member(u64),
}

impl Preimages {
    /// Records that `input` has this hash.
    pub fn add(&mut self, hash: U256, input: &[u8]) {
        if input.len() >= 32 {
            self.inputs.entry(hash).or_insert_with(|| input.to_vec());
        }
    }

    /// Returns the path to `slot`, as far as its hashes are known.
    #[must_use]
    pub fn path(&self, slot: U256) -> SlotPath {
        let mut steps = Vec::new();
        let mut root = slot;
        while steps.len() < DEEPEST
            && let Some((below, way)) = self.step(root)
        {
            steps.extend(way.into_iter().rev());
            root = below;
        }
        steps.reverse();
        SlotPath { root, steps }
    }

    /// Returns the slot from which `slot` is computed, and the look-ups in between.
    fn step(&self, slot: U256) -> Option<(U256, Vec<Step>)> {
        if is_variable(slot) {
            return None;
        }
        let (hash, input) = self.inputs.range(..=slot).next_back()?;
        let distance = u64::try_from(slot.wrapping_sub(*hash)).ok()?;
        if input.len() == 32 {
            let base = U256::from_be_slice(input);
            return (distance <= LONGEST_ARRAY).then(|| (base, vec![Step::Element(distance)]));
        }
        if distance > LARGEST_STRUCTURE {
            return None;
        }
        let (key, base) = self.split(input)?;
        let member = (distance > 0).then_some(Step::Member(distance));
        Some((base, [key].into_iter().chain(member).collect()))
    }

    /// Splits a hash input into key and slot of a mapping: Solidity puts the key first, Vyper the
    /// slot.
    fn split(&self, input: &[u8]) -> Option<(Step, U256)> {
        let (key, base) = input.split_at_checked(input.len().checked_sub(32)?)?;
        let base = U256::from_be_slice(base);
        if key.len() != 32 {
            return Some((Step::Bytes(key.to_vec()), base));
        }
        let key = U256::from_be_slice(key);
        let leads_on = |slot: &U256| is_variable(*slot) || self.inputs.contains_key(slot);
        if !leads_on(&base) && leads_on(&key) {
            return Some((Step::Key(base), key));
        }
        Some((Step::Key(key), base))
    }
}

fn is_variable(slot: U256) -> bool {
    slot < U256::from(MOST_VARIABLES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;

    fn hash(parts: &[&[u8]]) -> (U256, Vec<u8>) {
        let input = parts.concat();
        (keccak256(&input).into(), input)
    }

    fn word(value: u64) -> [u8; 32] {
        U256::from(value).to_be_bytes()
    }

    #[test]
    fn nested_mappings_arrays_and_structures_are_followed() {
        let mut preimages = Preimages::default();
        let holder: U256 = U256::from(0xa11ce) << 100;
        let outer = hash(&[&holder.to_be_bytes::<32>(), &word(3)]);
        let inner = hash(&[&word(7), &outer.0.to_be_bytes::<32>()]);
        let array = hash(&[&word(5)]);
        let text = hash(&[b"a key that is longer than a word of 32", &word(2)]);
        for (hash, input) in [&outer, &inner, &array, &text] {
            preimages.add(*hash, input);
        }
        let way = |slot| {
            let path = preimages.path(slot);
            (path.root, path.steps)
        };
        let three = U256::from(3);
        assert_eq!(way(outer.0), (three, vec![Step::Key(holder)]));
        let nested = vec![Step::Key(holder), Step::Key(U256::from(7)), Step::Member(2)];
        assert_eq!(way(inner.0 + U256::from(2)), (three, nested));
        assert_eq!(way(array.0 + U256::from(9)), (U256::from(5), vec![Step::Element(9)]));
        let bytes = b"a key that is longer than a word of 32".to_vec();
        assert_eq!(way(text.0), (U256::from(2), vec![Step::Bytes(bytes)]));
        // A variable, and an unknown hash.
        assert_eq!(way(U256::from(4)), (U256::from(4), vec![]));
        let unknown = U256::MAX >> 1;
        assert_eq!(way(unknown), (unknown, vec![]));
    }

    #[test]
    fn vyper_hashes_the_slot_first() {
        let mut preimages = Preimages::default();
        let holder: U256 = U256::from(0xb0b) << 90;
        let (slot, input) = hash(&[&word(6), &holder.to_be_bytes::<32>()]);
        preimages.add(slot, &input);
        let expected = SlotPath { root: U256::from(6), steps: vec![Step::Key(holder)] };
        assert_eq!(preimages.path(slot), expected);
    }

    #[test]
    fn a_hash_that_leads_to_itself_ends() {
        let mut preimages = Preimages::default();
        let slot = U256::MAX;
        preimages.add(slot, &slot.to_be_bytes::<32>());
        assert_eq!(preimages.path(slot).steps.len(), DEEPEST);
    }
}
