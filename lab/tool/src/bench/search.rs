//! Searches for blocks on which Braid is slow or wasteful. It changes one parameter of a shape at a
//! time and runs the block in virtual time, so the same seed finds the same blocks on every
//! machine.

use super::attacks::{CPU, WALL};
use braid_blocks::workload::{Shape, random::Random};
use braid_cli::bench::priced::{Virtual, VirtualError, virtual_ratios};
use core::num::NonZeroU16;
use thiserror::Error;

/// Number of changes without a worse block after which the search restarts.
const PATIENCE: u32 = 25;
/// Number of changes to the base shape at a restart.
const FRESH: u32 = 6;

/// Criterion of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// By both promises of docs/SECURITY.md, on wall and on processor time: the promise that is
    /// closer to being broken, or broken by more, decides
    #[default]
    Promises,
    /// By wall time
    Wall,
    /// By the time of all runs, including aborted ones
    Cpu,
}

impl By {
    /// Rates a block by its speed-up `ratio` and by `runs`, the time of all runs over sequential
    /// time. A value above 1 breaks the promise.
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

/// Result of a block on simulated workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Shape of the block.
    pub shape: Shape,
    /// Number of workers on which the block is worst.
    pub workers: u16,
    /// Lowest speed-up, over all numbers of workers and an executor's first and last execution.
    pub ratio: f64,
    /// Highest total time of all runs, over sequential time.
    pub runs: f64,
    /// Rating of the block: see [`By::badness`].
    pub badness: f64,
}

/// Why a shape has no figure.
#[derive(Debug, Error)]
#[error("{shape}: {error}")]
pub struct SearchError {
    /// The shape.
    pub shape: Shape,
    /// The cause.
    pub error: VirtualError,
}

/// Runs `shape` on each number of workers and returns the worst result.
///
/// # Errors
/// Returns an error if a result differs from the sequential one or the generator failed.
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

/// A search in progress, as an iterator over all blocks that it tries.
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
    /// Creates a search on these numbers of `workers`; the same `seed` gives the same search.
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

/// The worst blocks found, each shape once.
#[derive(Clone, Debug, Default)]
pub struct Worst {
    most: usize,
    found: Vec<Found>,
}

impl Worst {
    /// Creates a collection that keeps `most` blocks.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, found: Vec::new() }
    }

    /// Adds a block. Returns whether it is the worst so far.
    pub fn add(&mut self, found: Found) -> bool {
        if self.found.iter().any(|other| other.shape == found.shape) {
            return false;
        }
        let place = self.found.partition_point(|other| other.badness >= found.badness);
        self.found.insert(place, found);
        self.found.truncate(self.most);
        place == 0
    }

    /// Returns the blocks, the worst first.
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
        // A search by one criterion does not continue from a block that is worse only by the other.
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
