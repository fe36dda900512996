//! The trait of a machine that runs transactions.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

/// The rules by which transactions run. The type has no data: a run depends only on the transaction
/// and the values that it reads.
pub trait Machine: Copy + Debug + Eq + Hash {
    /// Key of a piece of the state.
    type Key: Clone + Debug + Eq + Hash + Ord;
    /// Value at a key. The default is that of a key that was never written.
    type Value: Clone + Debug + Default + Eq + Hash;
    /// A blind delta, added to a value without a read.
    type Delta: Clone + Debug + Eq + Hash;
    /// Output of a transaction for its sender: a receipt.
    type Output: Clone + Debug + Eq + Hash;
    /// A transaction with its whole context.
    type Tx: Debug;

    /// Adds `delta` to `value`. The order in which deltas are added must not matter.
    fn fold(value: &mut Self::Value, delta: &Self::Delta);

    /// Runs `tx` on `values`, which has exactly the keys that the transaction declares to read.
    ///
    /// # Errors
    /// Returns a key that the transaction reads without having declared it.
    fn run(tx: &Self::Tx, values: &Values<Self>) -> Result<Ran<Self>, Undeclared<Self::Key>>;

    /// Returns the size of a value in a message, in bytes, with its key.
    fn size(key: &Self::Key, value: &Self::Value) -> u64;
}

/// Values by key.
pub type Values<M> = BTreeMap<<M as Machine>::Key, <M as Machine>::Value>;

/// Writes by key.
pub type Writes<M> = BTreeMap<<M as Machine>::Key, Write<M>>;

/// A write to a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write<M: Machine> {
    /// Sets a value.
    Set(M::Value),
    /// Adds a delta to the current value.
    Add(M::Delta),
}

/// Effects of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ran<M: Machine> {
    /// Its writes, on all shards.
    pub writes: Writes<M>,
    /// Its output.
    pub output: M::Output,
}

/// A transaction has left its declared reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error(
    "the transaction has not declared that it accesses {0:?}; declare it, or record its accesses again"
)]
pub struct Undeclared<K: Debug>(pub K);

/// Outcome of a transaction. One that leaves its declaration changes nothing on any shard.
pub type Outcome<M> = Result<<M as Machine>::Output, Undeclared<<M as Machine>::Key>>;
