//! What the core asks of a machine that runs transactions.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

/// The rules by which transactions run. The type has no data: all that a run depends on is in the transaction and in the
/// values that it reads.
pub trait Machine: Copy + Debug + Eq + Hash {
    /// Names one piece of the state.
    type Key: Clone + Debug + Eq + Hash + Ord;
    /// What is stored there. The default is that of a key that was never written.
    type Value: Clone + Debug + Default + Eq + Hash;
    /// What is added to a value without reading it.
    type Delta: Clone + Debug + Eq + Hash;
    /// What a transaction tells its sender: a receipt.
    type Output: Clone + Debug + Eq + Hash;
    /// A transaction with all of its surroundings.
    type Tx: Debug;

    /// Adds `delta` to `value`. The order in which deltas are added must not matter.
    fn fold(value: &mut Self::Value, delta: &Self::Delta);

    /// Runs `tx` on `values`, which has exactly the keys that the transaction declares to read.
    ///
    /// # Errors
    /// The key that it reads and has not declared.
    fn run(tx: &Self::Tx, values: &Values<Self>) -> Result<Ran<Self>, Undeclared<Self::Key>>;

    /// Size of a value in a message, in bytes, with its key.
    fn size(key: &Self::Key, value: &Self::Value) -> u64;
}

/// Values by key.
pub type Values<M> = BTreeMap<<M as Machine>::Key, <M as Machine>::Value>;

/// Writes by key.
pub type Writes<M> = BTreeMap<<M as Machine>::Key, Write<M>>;

/// What a transaction leaves at a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write<M: Machine> {
    /// A value.
    Set(M::Value),
    /// A delta on what is there.
    Add(M::Delta),
}

/// What a run leaves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ran<M: Machine> {
    /// What it writes, at all shards.
    pub writes: Writes<M>,
    /// What it tells.
    pub output: M::Output,
}

/// A transaction has left its declared reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error(
    "the transaction has not declared that it accesses {0:?}; declare it, or record its accesses again"
)]
pub struct Undeclared<K: Debug>(pub K);

/// What a transaction came to. One that leaves its declaration changes nothing, at no shard.
pub type Outcome<M> = Result<<M as Machine>::Output, Undeclared<<M as Machine>::Key>>;
