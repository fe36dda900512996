//! The EVM as a machine of the core.

use super::run::{EvmOutput, EvmTx, Missing, Source, run};
use super::state::{EvmDelta, EvmKey, EvmValue};
use crate::machine::{Machine, Ran, Undeclared, Values, Write, Writes};
use revm::primitives::B256;
use std::collections::BTreeMap;

/// Runs the entries of a block on plain revm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Evm;

/// Serves only declared values.
struct Declared<'a> {
    values: &'a Values<Evm>,
    hashes: &'a BTreeMap<u64, B256>,
}

impl Source for Declared<'_> {
    fn value(&mut self, key: EvmKey) -> Result<EvmValue, Missing> {
        self.values.get(&key).cloned().ok_or(Missing(key))
    }

    fn hash(&mut self, number: u64) -> B256 {
        self.hashes.get(&number).copied().unwrap_or_default()
    }
}

impl Machine for Evm {
    type Key = EvmKey;
    type Value = EvmValue;
    type Delta = EvmDelta;
    type Output = EvmOutput;
    type Tx = EvmTx;

    fn fold(value: &mut EvmValue, delta: &EvmDelta) {
        delta.add_to(value);
    }

    fn run(tx: &EvmTx, values: &Values<Self>) -> Result<Ran<Self>, Undeclared<EvmKey>> {
        let left = run(tx, &mut Declared { values, hashes: &tx.hashes });
        let left = left.map_err(|missing| Undeclared(missing.0))?;
        let mut writes = Writes::<Self>::new();
        writes.extend(left.writes.into_iter().map(|(key, value)| (key, Write::Set(value))));
        writes.extend(left.deltas.into_iter().map(|(key, delta)| (key, Write::Add(delta))));
        Ok(Ran { writes, output: left.output })
    }

    /// Sizes of the packed form: address, nonce, balance and code hash; address, slot and value;
    /// shard and sum.
    fn size(key: &EvmKey, _: &EvmValue) -> u64 {
        match key {
            EvmKey::Account(_) => 20 + 8 + 32 + 32,
            EvmKey::Slot(..) => 20 + 32 + 32,
            EvmKey::Fees(_) => 2 + 32,
        }
    }
}
