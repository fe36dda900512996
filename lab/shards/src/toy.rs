//! A machine on a few numbers: each transaction mixes all its reads, and its writes depend on the
//! mixture. A wrong, stale or missing value shows up in its output and in the state.

use crate::machine::{Machine, Ran, Undeclared, Values, Write};
use crate::order::Entry;
use braid_evm::runtime::simulated::Random;
use std::collections::BTreeSet;

/// The machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Toy;

/// Action of a toy transaction at a key, which may depend on the mixture of its reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Writes the mixture.
    Mix,
    /// Writes this value.
    Set(u64),
    /// Adds this without a read.
    Add(u64),
    /// Writes the mixture if it is odd, and nothing otherwise.
    MixIfOdd,
}

/// A toy transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToyTx {
    /// Keys that it reads.
    pub reads: Vec<u16>,
    /// Actions by key.
    pub actions: Vec<(u16, Action)>,
}

impl ToyTx {
    /// Declares all its accesses.
    #[must_use]
    pub fn declared(self) -> Entry<Toy> {
        let reads = self.reads.iter().copied().collect();
        let writes = self.actions.iter().map(|(key, _)| *key).collect();
        Entry { tx: self, reads, writes }
    }
}

impl Machine for Toy {
    type Key = u16;
    type Value = u64;
    type Delta = u64;
    type Output = u64;
    type Tx = ToyTx;

    fn fold(value: &mut u64, delta: &u64) {
        *value = value.wrapping_add(*delta);
    }

    fn run(tx: &ToyTx, values: &Values<Self>) -> Result<Ran<Self>, Undeclared<u16>> {
        let mut mixture = 1_u64;
        for key in &tx.reads {
            let value = values.get(key).ok_or(Undeclared(*key))?;
            let next = mixture.rotate_left(9) ^ u64::from(*key) ^ value.wrapping_add(11);
            mixture = next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3;
        }
        let is_odd = mixture % 2 == 1;
        let write = |action: &Action| match action {
            Action::Mix => Some(Write::Set(mixture)),
            Action::Set(value) => Some(Write::Set(*value)),
            Action::Add(delta) => Some(Write::Add(*delta)),
            Action::MixIfOdd => is_odd.then_some(Write::Set(mixture)),
        };
        let writes = tx.actions.iter().filter_map(|(key, action)| Some((*key, write(action)?)));
        Ok(Ran { writes: writes.collect(), output: mixture })
    }

    fn size(_: &u16, _: &u64) -> u64 {
        10
    }
}

/// Generates a random order of toy transactions over `keys` keys, some of them hot. One in thirty
/// leaves its declaration.
#[must_use]
pub fn random_entries(random: &mut Random, transactions: u64, keys: u16) -> Vec<Entry<Toy>> {
    (0..transactions).map(|_| random_entry(random, keys)).collect()
}

fn random_entry(random: &mut Random, keys: u16) -> Entry<Toy> {
    let pick = |random: &mut Random| {
        let among = if random.chance(1, 4) { 1 + keys / 8 } else { keys };
        u16::try_from(random.below(u64::from(among))).unwrap_or(0)
    };
    let reads: BTreeSet<u16> = (0..random.below(4)).map(|_| pick(random)).collect();
    let mut tx = ToyTx { reads: reads.into_iter().collect(), ..ToyTx::default() };
    for _ in 0..random.below(4) {
        let key = pick(random);
        let action = match random.below(5) {
            0 => Action::Set(random.below(9)),
            1 | 2 => Action::Add(1 + random.below(9)),
            3 => Action::MixIfOdd,
            _ => Action::Mix,
        };
        if tx.actions.iter().all(|(other, _)| *other != key) {
            tx.actions.push((key, action));
        }
    }
    let mut entry = tx.declared();
    if random.chance(1, 30) {
        let last = entry.tx.actions.last().map(|(key, _)| *key);
        let lost = if random.chance(1, 2) { last } else { None };
        match lost {
            Some(key) => drop(entry.writes.remove(&key)),
            None => drop(entry.tx.reads.first().map(|key| entry.reads.remove(key))),
        }
    }
    entry
}
