//! The numbers of the protocol, each a type of its own so that no two can be swapped.

use core::fmt;

/// Position of a transaction in its block, from 0. It fixes the serial order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxIndex(pub u32);

impl TxIndex {
    /// The next higher index.
    #[cfg_attr(not(feature = "engine"), doc(hidden))]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The index as a slice position.
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

/// The n-th run of one transaction, from 0. Runs that were blocked or failed count too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u32);

impl Incarnation {
    /// The incarnation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The run of a transaction that produced an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The transaction.
    pub tx: TxIndex,
    /// Its run.
    pub incarnation: Incarnation,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.tx.0, self.incarnation.0)
    }
}

/// One worker of a block, from 0. Worker 0 is the calling thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u16);

impl WorkerId {
    /// The thread that waits for the block's end.
    pub const CALLER: Self = Self(0);
}

/// One private batch of a stretch, by its place in the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u32);

/// A contiguous range of transactions that one worker runs in order: the unit of dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Its lowest transaction.
    pub first: TxIndex,
    /// One past its highest transaction; greater than `first`.
    pub end: TxIndex,
}

impl Chunk {
    /// Number of transactions.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.end.0.saturating_sub(self.first.0)
    }

    /// Whether the range has no transaction.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The transactions of the chunk, lowest first.
    pub fn indices(self) -> impl DoubleEndedIterator<Item = TxIndex> {
        (self.first.0..self.end.0).map(TxIndex)
    }
}

/// Something for each of consecutive transactions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PerTx<T> {
    first: TxIndex,
    items: Vec<T>,
}

impl<T> PerTx<T> {
    /// `items` in order, the first of them that of transaction `first`.
    pub(crate) fn new(first: TxIndex, items: impl IntoIterator<Item = T>) -> Self {
        Self { first, items: items.into_iter().collect() }
    }

    /// Place of `tx`; one below the first has a place that is out of reach.
    const fn place(&self, tx: TxIndex) -> usize {
        tx.position().wrapping_sub(self.first.position())
    }

    pub(crate) fn get(&self, tx: TxIndex) -> Option<&T> {
        self.items.get(self.place(tx))
    }

    pub(crate) fn get_mut(&mut self, tx: TxIndex) -> Option<&mut T> {
        let place = self.place(tx);
        self.items.get_mut(place)
    }

    /// The first transaction that there is something for.
    pub(crate) const fn first(&self) -> TxIndex {
        self.first
    }

    /// One past the last.
    pub(crate) fn end(&self) -> TxIndex {
        let len = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        TxIndex(self.first.0.saturating_add(len))
    }

    /// Each with its transaction.
    pub(crate) fn iter_mut(
        &mut self,
    ) -> impl DoubleEndedIterator<Item = (TxIndex, &mut T)> + ExactSizeIterator {
        let first = self.first.position();
        let at =
            move |(place, item)| (TxIndex(u32::try_from(first + place).unwrap_or(u32::MAX)), item);
        self.items.iter_mut().enumerate().map(at)
    }
}
