//! A search for blocks that Braid is slow on: it changes one thing of a shape at a time, in virtual time, so that the same
//! seed finds the same blocks on every machine.

use super::priced::{VirtualError, virtual_ratios};
use braid_testkit::workload::{Shape, random::Random};
use core::num::NonZeroU16;
use thiserror::Error;

/// Changes without a slower block after which the search begins elsewhere.
const PATIENCE: u32 = 25;
/// Changes of the shape with which it begins again.
const FRESH: u32 = 6;

/// How a block runs on simulated workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The block.
    pub shape: Shape,
    /// Workers on which it is slowest.
    pub workers: u16,
    /// Sequential over virtual time there, of an executor's first and last execution the slower one.
    pub ratio: f64,
    /// Time that all runs take together, over sequential time.
    pub runs: f64,
}

/// Why a shape has no figure.
#[derive(Debug, Error)]
#[error("{shape}: {error}")]
pub struct SearchError {
    /// Which one.
    pub shape: Shape,
    /// Why.
    pub error: VirtualError,
}

/// How `shape` runs on the number of `workers` on which it is slowest.
///
/// # Errors
/// A result is not the sequential one; the generator is at fault.
pub fn judge(shape: Shape, seed: u64, workers: &[NonZeroU16]) -> Result<Found, SearchError> {
    let failed = |error: VirtualError| SearchError { shape, error };
    let file =
        shape.block(seed).map_err(|error| failed(VirtualError::Invalid(error.to_string())))?;
    let (block, database) =
        file.to_block().map_err(|error| failed(VirtualError::Invalid(format!("{error:?}"))))?;
    let all = virtual_ratios(&block, &database, workers).map_err(failed)?;
    let slowest = workers
        .iter()
        .zip(all)
        .min_by(|(_, one), (_, other)| one.slower().total_cmp(&other.slower()));
    let Some((workers, slowest)) = slowest else {
        return Err(failed(VirtualError::Invalid("no number of workers".to_owned())));
    };
    Ok(Found { shape, workers: workers.get(), ratio: slowest.slower(), runs: slowest.runs })
}

/// A search in progress: an iterator over all blocks that it looks at.
#[derive(Debug)]
pub struct Search {
    seed: u64,
    workers: Vec<NonZeroU16>,
    random: Random,
    here: Option<Found>,
    failures: u32,
}

impl Search {
    /// A search on these numbers of `workers`; everything follows from `seed`.
    #[must_use]
    pub fn new(seed: u64, workers: Vec<NonZeroU16>) -> Self {
        let random = Random::new(seed, "search");
        Self { seed, workers, random, here: None, failures: 0 }
    }
}

impl Iterator for Search {
    type Item = Result<Found, SearchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let changes = if self.here.is_some() { 1 } else { FRESH };
        let mut shape = self.here.map_or(Shape::BASE, |here| here.shape);
        for _ in 0..changes {
            shape = shape.mutated(&mut self.random);
        }
        let found = match judge(shape, self.seed, &self.workers) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        if self.here.is_none_or(|here| found.ratio < here.ratio) {
            (self.here, self.failures) = (Some(found), 0);
        } else {
            self.failures += 1;
            if self.failures >= PATIENCE {
                (self.here, self.failures) = (None, 0);
            }
        }
        Some(Ok(found))
    }
}

/// The slowest blocks that were found, each shape once.
#[derive(Clone, Debug, Default)]
pub struct Slowest {
    most: usize,
    found: Vec<Found>,
}

impl Slowest {
    /// Keeps `most` of them.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, found: Vec::new() }
    }

    /// Adds a block. Returns whether no other is slower.
    pub fn add(&mut self, found: Found) -> bool {
        if self.found.iter().any(|other| other.shape == found.shape) {
            return false;
        }
        let place = self.found.partition_point(|other| other.ratio <= found.ratio);
        self.found.insert(place, found);
        self.found.truncate(self.most);
        place == 0
    }

    /// All that are kept, the slowest first.
    #[must_use]
    pub fn all(&self) -> &[Found] {
        &self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers() -> Vec<NonZeroU16> {
        [2, 4].into_iter().filter_map(NonZeroU16::new).collect()
    }

    #[test]
    fn the_same_seed_finds_the_same_blocks() {
        let run = || -> Vec<Found> {
            Search::new(3, workers()).take(6).map(|found| found.expect("a block")).collect()
        };
        let found = run();
        assert_eq!(found, run());
        assert!(found.iter().all(|it| it.ratio > 0.1 && it.runs > 0.5), "{found:?}");
    }

    #[test]
    fn the_slowest_are_kept_in_order_and_once() {
        let found = |transactions, ratio| Found {
            shape: Shape { transactions, ..Shape::BASE },
            workers: 2,
            ratio,
            runs: 1.0,
        };
        let mut slowest = Slowest::new(2);
        assert!(slowest.add(found(1, 0.9)) && slowest.add(found(2, 0.8)));
        assert!(!slowest.add(found(2, 0.8)) && !slowest.add(found(3, 0.85)));
        let kept: Vec<_> = slowest.all().iter().map(|it| it.shape.transactions).collect();
        assert_eq!(kept, [2, 3]);
    }
}
