//! The members of a private batch.

use crate::ids::{Chunk, TxIndex};
use std::sync::Arc;

/// The transactions of a private batch, lowest first: a contiguous range, or any set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Batch {
    /// All transactions of a range, which is not empty.
    Range(Chunk),
    /// These transactions, in ascending order; at least one.
    Members(Arc<[TxIndex]>),
}

impl Batch {
    /// The lowest transaction.
    #[must_use]
    pub fn first(&self) -> Option<TxIndex> {
        self.from(TxIndex(0)).next()
    }

    /// Returns one past the highest transaction.
    #[must_use]
    pub fn end(&self) -> TxIndex {
        match self {
            Self::Range(range) => range.end,
            Self::Members(members) => members.last().map_or(TxIndex(0), |last| last.next()),
        }
    }

    /// Iterates over the members from `first` on.
    pub fn from(&self, first: TxIndex) -> impl Iterator<Item = TxIndex> + '_ {
        let (range, members) = match self {
            Self::Range(range) => (range.first.0.max(first.0)..range.end.0, &[] as &[TxIndex]),
            Self::Members(members) => {
                let at = members.partition_point(|member| *member < first);
                (0..0, members.get(at..).unwrap_or_default())
            }
        };
        range.map(TxIndex).chain(members.iter().copied())
    }

    /// Returns the contiguous members from `first` on. `first` must be a member.
    #[must_use]
    pub fn neighbours_from(&self, first: TxIndex) -> Chunk {
        let end = match self {
            Self::Range(range) => range.end,
            Self::Members(_) => self
                .from(first)
                .fold(first, |end, member| if member == end { end.next() } else { end }),
        };
        Chunk { first, end }
    }

    /// Returns whether the members are contiguous.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        match self {
            Self::Range(_) => true,
            Self::Members(members) => {
                members.windows(2).all(|pair| matches!(pair, [one, next] if one.next() == *next))
            }
        }
    }
}
