//! A shard's state that survives a restart: how far the order has arrived, the writes of its
//! transactions to its own keys, and their outcomes.
//!
//! Messages are not stored. The values that a shard owes to others are a function of this log: the
//! values below a transaction.

use crate::machine::{Machine, Outcome, Values, Write, Writes};
use crate::order::{Agreed, ShardId};
use braid_evm::ids::TxIndex;
use std::collections::BTreeMap;

/// The durable part of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Durable<M: Machine> {
    /// Transactions below this index have arrived.
    pub(crate) arrived: TxIndex,
    /// Transactions below this index are folded into `base`: no value that this shard owes depends
    /// on earlier values.
    pub(crate) folded: TxIndex,
    /// Values of the shard's keys below `folded`.
    pub(crate) base: Values<M>,
    /// Writes to the shard's keys by transactions from `folded` on.
    pub(crate) log: BTreeMap<TxIndex, Writes<M>>,
    /// Outcomes of the transactions that this shard runs.
    pub(crate) outcomes: BTreeMap<TxIndex, Outcome<M>>,
}

impl<M: Machine> Durable<M> {
    /// Creates the initial state of `shard`, with its part of `base`, the state before the first
    /// transaction.
    #[must_use]
    pub fn new(agreed: &Agreed<M>, shard: ShardId, base: &Values<M>) -> Self {
        let own = base.iter().filter(|(key, _)| agreed.home(key) == Some(shard));
        Self {
            arrived: TxIndex(0),
            folded: TxIndex(0),
            base: own.map(|(key, value)| (key.clone(), value.clone())).collect(),
            log: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        }
    }

    /// Returns the outcomes of the transactions that this shard has run and committed.
    #[must_use]
    pub const fn outcomes(&self) -> &BTreeMap<TxIndex, Outcome<M>> {
        &self.outcomes
    }

    /// Returns the number of committed transactions that are still in the log.
    #[must_use]
    pub fn log_length(&self) -> usize {
        self.log.len()
    }

    /// Returns whether this shard has run and committed `tx`.
    #[must_use]
    pub fn is_committed(&self, tx: TxIndex) -> bool {
        tx < self.folded || self.log.contains_key(&tx)
    }

    /// Returns the index below which `shard` has committed every transaction that it runs.
    #[must_use]
    pub fn watermark(&self, agreed: &Agreed<M>, shard: ShardId) -> TxIndex {
        let mut runs = agreed.runs_from(shard, self.folded).iter();
        runs.find(|tx| !self.log.contains_key(tx)).copied().unwrap_or(agreed.end())
    }

    /// Returns the value of one of the shard's keys as transaction `below` must read it; `None`
    /// while an earlier writer has not committed.
    #[must_use]
    pub fn value_below(
        &self,
        agreed: &Agreed<M>,
        key: &M::Key,
        below: TxIndex,
    ) -> Option<M::Value> {
        let (mut deltas, mut value) = (Vec::new(), None);
        for tx in agreed.writers_below(key, below).take_while(|tx| *tx >= self.folded) {
            match self.log.get(&tx)?.get(key) {
                Some(Write::Set(set)) => {
                    value = Some(set);
                    break;
                }
                Some(Write::Add(delta)) => deltas.push(delta),
                // A declared write that was not made.
                None => {}
            }
        }
        let mut value = value.or_else(|| self.base.get(key)).cloned().unwrap_or_default();
        deltas.into_iter().for_each(|delta| M::fold(&mut value, delta));
        Some(value)
    }

    /// Returns the values of `keys`, which belong to this shard, as `tx` must read them.
    pub(crate) fn values_below<'a>(
        &self,
        agreed: &Agreed<M>,
        keys: impl IntoIterator<Item = &'a M::Key>,
        tx: TxIndex,
    ) -> Option<Values<M>>
    where
        M::Key: 'a,
    {
        let value = |key: &M::Key| Some((key.clone(), self.value_below(agreed, key, tx)?));
        keys.into_iter().map(value).collect()
    }

    /// Folds the writes below `low` into the base.
    pub(crate) fn fold(&mut self, low: TxIndex) {
        if low <= self.folded {
            return;
        }
        let kept = self.log.split_off(&low);
        for (key, write) in core::mem::replace(&mut self.log, kept).into_values().flatten() {
            match write {
                Write::Set(value) => {
                    self.base.insert(key, value);
                }
                Write::Add(delta) => M::fold(self.base.entry(key).or_default(), &delta),
            }
        }
        self.folded = low;
    }

    /// Returns the shard's part of the state after the last transaction; `None` if some
    /// transactions are not committed.
    #[must_use]
    pub fn state(&self, agreed: &Agreed<M>, shard: ShardId) -> Option<Values<M>> {
        let own = agreed.homes().filter(|(_, home)| *home == shard).map(|(key, _)| key);
        self.values_below(agreed, own, agreed.end())
    }
}
