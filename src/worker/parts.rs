//! A block in parts, where its transactions have nothing to do with each other.
//!
//! Each worker claims contiguous parts, the lowest first, and runs them by itself on the state before all
//! of them. One of the workers takes what has become of them, in order, and adopts it for as long as it
//! holds there: what was read below a part is what the parts before it have left. Nothing is shared
//! meanwhile, so nothing is locked, published or compared transaction by transaction; but where one thing
//! does not hold everything from there on was in vain.

use super::mutants::{WorkerMutant, is_worker_mutant};
use super::{Context, Point};
use crate::sync::{AtomicBool, AtomicU64, Receiver, Sender, SeqCst, bounded};
use core::ops::Range;
use std::collections::BTreeMap;

/// Transactions of a part at most, so that what is in vain is bounded.
const LONGEST: usize = 4_096;
/// Into how many parts for each worker what is left would be cut if all were as long as the next one: they
/// get shorter, so that all workers end at about the same time.
const ROUNDS: usize = 4;
/// Parts for each worker that are as short as any: they show whether anything holds at all.
const TRIALS: usize = 2;

/// What became of the part with this number: nothing if whoever ran it has failed, by a bug of ours.
pub type Done<T> = (usize, Option<T>);

/// Parts that nobody has claimed, and how to tell what has become of the others.
#[derive(Debug)]
pub struct Parts<T> {
    ranges: Vec<Range<usize>>,
    /// The first ones, which show whether any hold.
    trials: usize,
    next: AtomicU64,
    is_over: AtomicBool,
    done: Sender<Done<T>>,
    mutant: WorkerMutant,
}

/// A part that somebody runs. Whatever happens it is told of.
struct Promise<'a, T> {
    parts: &'a Parts<T>,
    place: usize,
    part: Option<T>,
}

impl<T> Drop for Promise<'_, T> {
    fn drop(&mut self) {
        // There is room for every part.
        let _ = self.parts.done.try_send((self.place, self.part.take()));
    }
}

/// See [`Parts::over_when_dropped`].
#[derive(Debug)]
pub struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

impl<T> Parts<T> {
    /// `transactions` in parts for `workers` workers, of `shortest` transactions at least but the last one;
    /// also the end that hears of them.
    #[must_use]
    pub fn new(
        transactions: Range<usize>,
        workers: usize,
        shortest: usize,
    ) -> (Self, Receiver<Done<T>>) {
        let ranges = cut(transactions, workers, shortest);
        let (done, inbox) = bounded(ranges.len().max(1));
        let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let (trials, mutant) = (ranges.len().min(TRIALS * workers), WorkerMutant::None);
        (Self { ranges, trials, next, is_over, done, mutant }, inbox)
    }

    /// The same with a seeded bug.
    #[cfg(feature = "mutants")]
    pub const fn with_mutant(mut self, mutant: WorkerMutant) -> Self {
        self.mutant = mutant;
        self
    }

    /// Whether nobody needs any part that is not at its end.
    pub fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    /// The lowest part that nobody has claimed, if one is wanted.
    fn claim(&self) -> Option<(usize, Range<usize>)> {
        if self.is_over() {
            return None;
        }
        let place = self.next.fetch_add(1, SeqCst) as usize;
        Some((place, self.ranges.get(place)?.clone()))
    }

    /// The same for whoever adopts parts, `adopted` of them so far: the longer ones once the trials were, as
    /// nobody stops what it runs itself.
    fn claim_after(&self, adopted: usize) -> Option<(usize, Range<usize>)> {
        let is_trial = |place| (place as usize) < self.trials;
        if adopted < self.trials && !is_trial(self.next.load(SeqCst)) {
            return None;
        }
        self.claim()
    }

    /// Runs parts for as long as there are any.
    pub fn help(&self, context: &impl Context, mut run: impl FnMut(Range<usize>) -> T) {
        while let Some((place, range)) = self.claim() {
            let mut promise = Promise { parts: self, place, part: None };
            promise.part = Some(run(range));
            // In virtual time nobody hears of it before it has ended.
            context.yield_at(Point::Between);
        }
    }

    /// When that is dropped nobody needs what has not come to an end.
    #[must_use]
    pub const fn over_when_dropped(&self) -> Over<'_> {
        Over(&self.is_over)
    }

    /// Runs parts and lets `adopt` have what has become of them, in order, until it says that what follows
    /// is in vain. `inbox` is the end that hears of them. Returns those that have ended in vain so far.
    pub fn lead(
        &self,
        inbox: &Receiver<Done<T>>,
        context: &impl Context,
        mut run: impl FnMut(Range<usize>) -> T,
        mut adopt: impl FnMut(Option<T>) -> bool,
    ) -> impl Iterator<Item = T> {
        let (mut ended, mut adopted) = (BTreeMap::new(), 0);
        while adopted < self.ranges.len() {
            context.yield_at(Point::Between);
            ended.extend(core::iter::from_fn(|| inbox.try_recv().ok()));
            let next = if is_worker_mutant!(self.mutant, PartsOutOfOrder) {
                ended.pop_first().map(|(_, part)| part)
            } else {
                ended.remove(&adopted)
            };
            if let Some(part) = next {
                adopted += 1;
                if !adopt(part) {
                    break;
                }
            } else if let Some((place, range)) = self.claim_after(adopted) {
                ended.insert(place, Some(run(range)));
            } else if let Some((place, part)) = context.recv(inbox) {
                // Every other part is in somebody's hands, who tells of it whatever happens.
                ended.insert(place, part);
            } else {
                unreachable!("the parts themselves hold a sender")
            }
        }
        self.is_over.store(true, SeqCst);
        ended.into_values().flatten()
    }
}

fn cut(transactions: Range<usize>, workers: usize, shortest: usize) -> Vec<Range<usize>> {
    let Range { mut start, end } = transactions;
    let mut ranges = Vec::new();
    while start < end {
        let left = end - start;
        let length = match ranges.len() < TRIALS * workers {
            true => shortest,
            false => (left / (ROUNDS * workers)).clamp(shortest, LONGEST.max(shortest)),
        };
        let next = start + length.clamp(1, left);
        ranges.push(start..next);
        start = next;
    }
    ranges
}

#[cfg(all(test, not(braid_loom)))]
mod tests {
    use super::*;

    struct Still;

    impl Context for Still {
        fn yield_at(&self, _: Point) {}

        fn recv<T>(&self, channel: &Receiver<T>) -> Option<T> {
            channel.recv().ok()
        }
    }

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
        assert_eq!(lengths[..5], [64, 64, 64, 64, 3_718]);
        assert!(lengths[4..].is_sorted_by(|one, next| one >= next), "{lengths:?}");
    }

    #[test]
    fn who_is_alone_runs_all_of_them() {
        let (parts, inbox) = Parts::new(0..100, 1, 3);
        let mut adopted = Vec::new();
        let adopt = |part: Option<Range<usize>>| {
            adopted.extend(part.expect("nobody fails"));
            true
        };
        let left = parts.lead(&inbox, &Still, |range| range, adopt);
        assert_eq!(left.count(), 0);
        assert_eq!(adopted, (0..100).collect::<Vec<_>>());
        assert!(parts.is_over());
    }

    #[test]
    fn nothing_is_adopted_after_what_was_in_vain_or_has_failed() {
        let (parts, inbox) = Parts::new(0..100, 1, 3);
        let mut adopted = 0;
        let adopt = |part: Option<Range<usize>>| {
            let part = part.expect("nobody fails");
            adopted += part.len();
            part.start < 6
        };
        let _ = parts.lead(&inbox, &Still, |range| range, adopt);
        assert_eq!(adopted, 3 + 3 + 23, "the third part was the last one, and is longer");
        // One is claimed by somebody who fails; the others are the caller's.
        let (parts, inbox) = Parts::new(0..100, 1, 3);
        let (place, _) = parts.claim().expect("there are some");
        drop(Promise { parts: &parts, place, part: None });
        let mut lost = 0;
        let adopt = |part: Option<Range<usize>>| {
            lost += usize::from(part.is_none());
            part.is_some()
        };
        assert_eq!(parts.lead(&inbox, &Still, |range| range, adopt).count(), 0);
        assert_eq!(lost, 1, "it is told of");
        assert!(parts.is_over() && parts.claim().is_none());
    }
}
