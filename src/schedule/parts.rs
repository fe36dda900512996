//! Cutting transactions into ranges of neighbours for private batches.

use core::ops::Range;

/// Transactions of a part at most, so that wasted work is bounded.
const LONGEST: usize = 4_096;
/// Into how many parts for each worker what is left would be cut if all were as long as the next
/// one: they get shorter, so that all workers end at about the same time.
const ROUNDS: usize = 4;
/// Parts for each worker that are as short as any: they show whether anything holds at all.
const TRIALS: usize = 2;
/// Parts are this many times longer once each worker has had one: what is thrown away if one does
/// not hold is not much more than what has held before.
const GROWTH: usize = 2;

/// `transactions` in ranges for `workers` workers, each of `shortest` transactions at least but the
/// last one.
#[must_use]
pub fn cut(transactions: Range<usize>, workers: usize, shortest: usize) -> Vec<Range<usize>> {
    let Range { mut start, end } = transactions;
    let (mut ranges, mut longest) = (Vec::new(), shortest);
    while start < end {
        let left = end - start;
        let is_longer = ranges.len() >= TRIALS * workers && ranges.len() % workers == 0;
        if is_longer && longest < LONGEST {
            longest *= GROWTH;
        }
        let share = left / (ROUNDS * workers);
        let length = share.clamp(shortest, longest.min(LONGEST).max(shortest));
        let next = start + length.clamp(1, left);
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
                assert!(range.start == next && !range.is_empty() && range.len() <= LONGEST);
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
