//! Division of transactions into contiguous ranges for private batches.

use crate::thresholds::{
    BATCH_GROWTH, LONGEST_BATCH, REMAINING_BATCHES_PER_WORKER, SHORTEST_BATCHES_PER_WORKER,
};
use core::ops::Range;

/// Divides `transactions` into ranges for `workers` workers, each of at least `shortest`
/// transactions except the last one.
#[must_use]
pub fn cut(transactions: Range<usize>, workers: usize, shortest: usize) -> Vec<Range<usize>> {
    let Range { mut start, end } = transactions;
    let mut ranges = Vec::new();
    let mut longest = shortest;
    while start < end {
        let remaining = end - start;
        let may_grow =
            ranges.len() >= SHORTEST_BATCHES_PER_WORKER * workers && ranges.len() % workers == 0;
        if may_grow && longest < LONGEST_BATCH {
            longest *= BATCH_GROWTH;
        }
        let share = remaining / (REMAINING_BATCHES_PER_WORKER * workers);
        let length = share.clamp(shortest, longest.min(LONGEST_BATCH).max(shortest));
        let next = start + length.clamp(1, remaining);
        ranges.push(start..next);
        start = next;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_contiguous_and_get_longer_and_then_shorter() {
        for (transactions, workers, shortest) in
            [(0..30_000, 2, 64), (17..5_000, 8, 64), (0..9, 3, 2), (3..4, 2, 64), (0..0, 2, 1)]
        {
            let ranges = cut(transactions.clone(), workers, shortest);
            let mut next = transactions.start;
            for range in &ranges {
                assert!(range.start == next && !range.is_empty() && range.len() <= LONGEST_BATCH);
                next = range.end;
            }
            assert_eq!(next, transactions.end);
            let short = ranges.iter().rev().skip(1).filter(|range| range.len() < shortest);
            assert_eq!(short.count(), 0);
        }
        let lengths: Vec<_> = cut(0..30_000, 2, 64).iter().map(Range::len).collect();
        assert_eq!(lengths[..8], [64, 64, 64, 64, 128, 128, 256, 256]);
        let most = lengths.iter().position(|length| *length > 2_048).unwrap();
        assert!(lengths[most..].is_sorted_by(|one, next| one >= next), "{lengths:?}");
    }
}
