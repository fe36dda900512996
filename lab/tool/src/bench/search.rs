//! A search for blocks that Braid is slow or wasteful on: it changes one thing of a shape at a time, in virtual time, so that the same
//! seed finds the same blocks on every machine.

use super::attacks::{CPU, WALL};
use braid_cli::bench::priced::{Virtual, VirtualError, virtual_ratios};
use braid_testkit::workload::{Shape, random::Random};
use core::num::NonZeroU16;
use thiserror::Error;

/// Changes without a worse block after which the search begins elsewhere.
const PATIENCE: u32 = 25;
/// Changes of the shape with which it begins again.
const FRESH: u32 = 6;

/// By what a search finds one block worse than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// By both promises of docs/SECURITY.md, on wall and on processor time: the one that the block is closer to breaking, or breaks by more, decides
    #[default]
    Promises,
    /// By wall time
    Wall,
    /// By the time of all runs, discarded ones included
    Cpu,
}

impl By {
    /// How bad a block is that comes to this `ratio` of sequential to wall time, and whose `runs` take so much of
    /// sequential time. More than 1 is more than is promised.
    #[must_use]
    pub fn badness(self, ratio: f64, runs: f64) -> f64 {
        let (wall, cpu) = (1.0 / (ratio * WALL).max(f64::MIN_POSITIVE), runs / CPU);
        match self {
            Self::Promises => wall.max(cpu),
            Self::Wall => wall,
            Self::Cpu => cpu,
        }
    }
}

/// How a block runs on simulated workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The block.
    pub shape: Shape,
    /// Workers on which it is worst.
    pub workers: u16,
    /// Sequential over virtual time, of an executor's first and last execution the slower one, on the number of
    /// workers where that is least.
    pub ratio: f64,
    /// Time that all runs take together, over sequential time, where that is most.
    pub runs: f64,
    /// How bad it is: see [`By::badness`].
    pub badness: f64,
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

/// How `shape` runs on the number of `workers` on which it is worst.
///
/// # Errors
/// A result is not the sequential one; the generator is at fault.
pub fn judge(
    shape: Shape,
    seed: u64,
    workers: &[NonZeroU16],
    by: By,
) -> Result<Found, SearchError> {
    let failed = |error: VirtualError| SearchError { shape, error };
    let file =
        shape.block(seed).map_err(|error| failed(VirtualError::Invalid(error.to_string())))?;
    let (block, database) =
        file.to_block().map_err(|error| failed(VirtualError::Invalid(format!("{error:?}"))))?;
    let all = virtual_ratios(&block, &database, workers).map_err(failed)?;
    let badness = |found: &Virtual| by.badness(found.slower(), found.runs);
    let worst = workers
        .iter()
        .zip(&all)
        .max_by(|(_, one), (_, other)| badness(one).total_cmp(&badness(other)));
    let Some((workers, _)) = worst else {
        return Err(failed(VirtualError::Invalid("no number of workers".to_owned())));
    };
    let ratio = all.iter().map(Virtual::slower).fold(f64::INFINITY, f64::min);
    let runs = all.iter().map(|it| it.runs).fold(0.0, f64::max);
    let badness = by.badness(ratio, runs);
    Ok(Found { shape, workers: workers.get(), ratio, runs, badness })
}

/// A search in progress: an iterator over all blocks that it looks at.
#[derive(Debug)]
pub struct Search {
    seed: u64,
    workers: Vec<NonZeroU16>,
    by: By,
    random: Random,
    here: Option<Found>,
    failures: u32,
}

impl Search {
    /// A search on these numbers of `workers`; everything follows from `seed`.
    #[must_use]
    pub fn new(seed: u64, workers: Vec<NonZeroU16>, by: By) -> Self {
        let random = Random::new(seed, "search");
        Self { seed, workers, by, random, here: None, failures: 0 }
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
        let found = match judge(shape, self.seed, &self.workers, self.by) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        if self.here.is_none_or(|here| found.badness > here.badness) {
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

/// The worst blocks that were found, each shape once.
#[derive(Clone, Debug, Default)]
pub struct Worst {
    most: usize,
    found: Vec<Found>,
}

impl Worst {
    /// Keeps `most` of them.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, found: Vec::new() }
    }

    /// Adds a block. Returns whether no other is worse.
    pub fn add(&mut self, found: Found) -> bool {
        if self.found.iter().any(|other| other.shape == found.shape) {
            return false;
        }
        let place = self.found.partition_point(|other| other.badness >= found.badness);
        self.found.insert(place, found);
        self.found.truncate(self.most);
        place == 0
    }

    /// All that are kept, the worst first.
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
            let found = Search::new(3, workers(), By::default()).take(6);
            found.map(|found| found.expect("a block")).collect()
        };
        let found = run();
        assert_eq!(found, run());
        assert!(found.iter().all(|it| it.ratio > 0.1 && it.runs > 0.5), "{found:?}");
    }

    #[test]
    fn a_block_is_as_bad_as_what_it_breaks_of_a_promise() {
        let of = |ratio, runs| [By::Wall, By::Cpu, By::Promises].map(|by| by.badness(ratio, runs));
        let is = |found: [f64; 3], wanted: [f64; 3]| {
            let near = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-9;
            assert!(found.iter().zip(&wanted).all(near), "{found:?}, not {wanted:?}");
        };
        is(of(1.0 / WALL, CPU / 2.0), [1.0, 0.5, 1.0]);
        is(of(2.0 / WALL, CPU * 1.5), [0.5, 1.5, 1.5]);
        // A search by one of them does not go on from what is worse by the other.
        let mut worst = Worst::new(3);
        let shape = |transactions| Shape { transactions, ..Shape::BASE };
        for (transactions, ratio, runs) in [(1, 0.5, 1.0), (2, 1.0, 3.0)] {
            let (shape, badness) = (shape(transactions), By::Cpu.badness(ratio, runs));
            worst.add(Found { shape, workers: 2, ratio, runs, badness });
        }
        assert_eq!(worst.all().first().map(|it| it.shape.transactions), Some(2));
    }

    #[test]
    fn the_worst_are_kept_in_order_and_once() {
        let found = |transactions, ratio| Found {
            shape: Shape { transactions, ..Shape::BASE },
            workers: 2,
            ratio,
            runs: 1.0,
            badness: By::Wall.badness(ratio, 1.0),
        };
        let mut worst = Worst::new(2);
        assert!(worst.add(found(1, 0.9)) && worst.add(found(2, 0.8)));
        assert!(!worst.add(found(2, 0.8)) && !worst.add(found(3, 0.85)));
        let kept: Vec<_> = worst.all().iter().map(|it| it.shape.transactions).collect();
        assert_eq!(kept, [2, 3]);
    }
}
