//! Numbers of the protocol, each with its own type so that they cannot be confused.

use core::fmt;

/// Position of a transaction in its block, from 0. Positions define the sequential order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxIndex(pub u32);

impl TxIndex {
    /// Returns the next higher index.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the index as a slice position.
    #[must_use]
    pub const fn position(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for TxIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of an execution of a transaction, from 0. Blocked and failed executions count, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u32);

impl Incarnation {
    /// Returns the next incarnation.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The transaction and incarnation that wrote an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The transaction.
    pub tx: TxIndex,
    /// The incarnation of that transaction.
    pub incarnation: Incarnation,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.tx.0, self.incarnation.0)
    }
}

/// Number of a worker in a block, from 0. Worker 0 is the calling thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u16);

impl WorkerId {
    /// The calling thread, which waits for the end of the block.
    pub const CALLER: Self = Self(0);
}

/// Number of a private batch in its segment: its position in the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u32);

impl BatchId {
    /// Returns the next batch.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the number as a slice position.
    pub(crate) const fn position(self) -> usize {
        self.0 as usize
    }
}

/// A contiguous range of transactions that run in block order on one worker: a chunk of a plan, a
/// private batch, or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// The lowest transaction.
    pub first: TxIndex,
    /// One past the highest transaction; greater than `first`.
    pub end: TxIndex,
}

impl Chunk {
    /// Returns the number of transactions.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.end.0.saturating_sub(self.first.0)
    }

    /// Returns whether the range has no transaction.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Iterates over the transactions of the chunk, lowest first.
    pub fn indices(self) -> impl DoubleEndedIterator<Item = TxIndex> {
        (self.first.0..self.end.0).map(TxIndex)
    }
}

/// A table with one item per transaction of a contiguous range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PerTx<T> {
    first: TxIndex,
    items: Vec<T>,
}

impl<T> PerTx<T> {
    /// Creates a table of `items`, the first of which belongs to transaction `first`.
    pub(crate) fn new(first: TxIndex, items: impl IntoIterator<Item = T>) -> Self {
        Self { first, items: items.into_iter().collect() }
    }

    /// Returns the position of `tx` in `items`; out of range for a transaction below `first`.
    const fn position(&self, tx: TxIndex) -> usize {
        tx.position().wrapping_sub(self.first.position())
    }

    pub(crate) fn get(&self, tx: TxIndex) -> Option<&T> {
        self.items.get(self.position(tx))
    }

    pub(crate) fn get_mut(&mut self, tx: TxIndex) -> Option<&mut T> {
        let position = self.position(tx);
        self.items.get_mut(position)
    }

    /// Returns the first transaction of the range.
    pub(crate) const fn first(&self) -> TxIndex {
        self.first
    }

    /// Returns one past the last transaction of the range.
    pub(crate) fn end(&self) -> TxIndex {
        let len = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        TxIndex(self.first.0.saturating_add(len))
    }

    /// Iterates over the items, each with its transaction.
    pub(crate) fn iter_mut(
        &mut self,
    ) -> impl DoubleEndedIterator<Item = (TxIndex, &mut T)> + ExactSizeIterator {
        let first = self.first.position();
        let with_tx =
            move |(at, item)| (TxIndex(u32::try_from(first + at).unwrap_or(u32::MAX)), item);
        self.items.iter_mut().enumerate().map(with_tx)
    }
}
