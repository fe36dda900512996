//! Attacks on the clock: wall and processor time compared with sequential revm.

use super::{CPU, WALL, invalid, shared};
use braid_blocks::{
    block_file::FileDatabase,
    compare::braid::outputs,
    sequential::{OnInvalid, Prepared, SequentialOutput},
    timing::Pauses,
    workload::{Attack, Staged},
};
use braid_cli::bench::{
    Series, parallel,
    priced::{EXECUTIONS, VirtualError},
    ratio, rounds_for, sequential,
};
use braid_evm::{BlockErrorKind, Config, Executor, Policy};
use core::{num::NonZeroU16, time::Duration};
use std::sync::Arc;

/// Wall time that a block may take on top of [`WALL`] times the sequential time.
pub const BESIDE: Duration = Duration::from_micros(100);

/// Times of an attack on some number of workers.
#[derive(Clone, Debug)]
pub struct Clocked {
    /// Number of transactions in the block.
    pub transactions: usize,
    /// Times of sequential revm.
    pub sequential: Series,
    /// Times of an executor that has learned nothing, or has learned from a block that misleads it.
    pub fresh: Series,
    /// Times of an executor that has executed the block several times.
    pub learned: Series,
}

impl Clocked {
    /// Returns the speed-up of the executor that has learned the block.
    #[must_use]
    pub fn learned_ratio(&self) -> f64 {
        ratio(self.sequential.wall(), self.learned.wall())
    }

    /// Returns the speed-up of the fresh executor.
    #[must_use]
    pub fn fresh_ratio(&self) -> f64 {
        ratio(self.sequential.wall(), self.fresh.wall())
    }

    /// Returns processor time over sequential processor time, for the worse executor.
    #[must_use]
    pub fn cpu_ratio(&self) -> f64 {
        ratio(self.fresh.cpu().max(self.learned.cpu()), self.sequential.cpu())
    }

    /// Returns whether the attack stays within the limits.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let most = self.sequential.wall().mul_f64(WALL).saturating_add(BESIDE);
        self.fresh.wall().max(self.learned.wall()) <= most && self.cpu_ratio() <= CPU
    }
}

/// A way of executing the block.
#[derive(Clone, Copy)]
enum Way {
    Sequential,
    Fresh,
    Learned,
}

/// Times the attack on `workers` that obey a policy; one in `by` transactions attacks. The ways
/// take turns, each between two pauses. Without `rounds`, the number of rounds depends on the size
/// of the block.
///
/// # Errors
/// Returns an error if a result differs from the sequential one, a wrong access list was accepted,
/// or the generator failed.
pub fn clocked(
    attack: Attack,
    (by, seed): (u32, u64),
    workers: (NonZeroU16, Policy),
    rounds: Option<u32>,
    pause: Duration,
) -> Result<Clocked, VirtualError> {
    let staged = attack.stage(by, seed).map_err(invalid)?;
    let expected = Prepared::new(&staged.block).run(staged.database.clone(), OnInvalid::Reject);
    let expected = expected.map_err(invalid)?;
    let before = staged.before.as_ref();
    let before = before.map(|(block, it)| (Arc::new(braid_evm::Block::from(block)), it.clone()));
    let trial = Trial { shared: shared(&staged)?, before, expected, staged };
    // Both executors have allocated their reusable memory; only one has learned the block.
    let mut fresh = trial.executor(workers, trial.before.is_some())?;
    let mut learned = trial.executor(workers, true)?;
    for _ in 1..EXECUTIONS {
        trial.run(&mut learned)?;
    }
    let Staged { block, database, .. } = &trial.staged;
    let transactions = block.transactions.len();
    let pauses = Pauses { before: pause, after: pause };
    let series = Series::default;
    let mut found =
        Clocked { transactions, sequential: series(), fresh: series(), learned: series() };
    let mut ways = [Way::Sequential, Way::Fresh, Way::Learned];
    for _ in 0..rounds.unwrap_or(rounds_for(transactions)) {
        for way in ways {
            let source = database.clone();
            let ours = |executor: &mut Executor, source: FileDatabase| {
                parallel(executor, &trial.shared, source, pauses)
            };
            let (series, sample) = match way {
                Way::Sequential => (&mut found.sequential, sequential(block, source, pauses)),
                Way::Fresh => {
                    trial.teach(&mut fresh)?;
                    (&mut found.fresh, ours(&mut fresh, source))
                }
                Way::Learned => (&mut found.learned, ours(&mut learned, source)),
            };
            series.samples.push(sample);
        }
        // Rotates the order: a way that follows a long one finds colder caches.
        ways.rotate_left(1);
    }
    Ok(found)
}

/// A block to be timed.
struct Trial {
    staged: Staged,
    shared: Arc<braid_evm::Block>,
    before: Option<(Arc<braid_evm::Block>, FileDatabase)>,
    expected: SequentialOutput,
}

impl Trial {
    /// Creates an executor that has executed the block once.
    fn executor(
        &self,
        (workers, policy): (NonZeroU16, Policy),
        learns: bool,
    ) -> Result<Executor, VirtualError> {
        let mut config = Config::with_workers(workers);
        (config.learn, config.policy) = (learns, policy);
        let mut executor = Executor::new(config).map_err(invalid)?;
        self.run(&mut executor)?;
        Ok(executor)
    }

    /// Lets `executor` learn from the preceding block, if there is one.
    fn teach(&self, executor: &mut Executor) -> Result<(), VirtualError> {
        let Some((block, database)) = &self.before else { return Ok(()) };
        for _ in 0..EXECUTIONS {
            let output = executor.block(Arc::clone(block)).database(database.clone()).execute();
            output.map_err(invalid)?;
        }
        Ok(())
    }

    /// Executes the block, and checks that the result is the sequential one or that the access list
    /// is rejected.
    fn run(&self, executor: &mut Executor) -> Result<(), VirtualError> {
        let workers = executor.config().workers.get();
        let source = self.staged.database.clone();
        let output = executor.block(Arc::clone(&self.shared)).database(source).execute();
        match (output, self.staged.lie) {
            (Err(error), Some(_)) if matches!(error.kind, BlockErrorKind::AccessList(_)) => Ok(()),
            (Err(error), _) => Err(invalid(error)),
            (Ok(_), Some(_)) => Err(VirtualError::Accepted { workers }),
            (Ok(output), None) => {
                let differences = outputs(&self.expected, &output);
                if differences.is_empty() {
                    return Ok(());
                }
                Err(VirtualError::Different { workers, differences: differences.to_string() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_blocks::timing::Times;

    #[test]
    fn a_short_block_has_a_tenth_of_a_millisecond_more() {
        let series = |wall: u64, cpu: u64| Series {
            samples: vec![Times {
                wall: Duration::from_micros(wall),
                cpu: Duration::from_micros(cpu),
            }],
        };
        let of = |fresh: (u64, u64), learned: (u64, u64)| Clocked {
            transactions: 1,
            sequential: series(200, 200),
            fresh: series(fresh.0, fresh.1),
            learned: series(learned.0, learned.1),
        };
        // The limit is 1.15 times 200 us, plus 100 us.
        assert!(of((330, 400), (100, 400)).is_kept());
        for broken in [of((331, 1), (1, 1)), of((1, 1), (331, 1)), of((1, 1), (1, 401))] {
            assert!(!broken.is_kept(), "{broken:?}");
        }
        let found = of((400, 300), (100, 500));
        let ratios = [found.fresh_ratio(), found.learned_ratio(), found.cpu_ratio()];
        for (ratio, wanted) in ratios.into_iter().zip([0.5, 2.0, 2.5]) {
            assert!((ratio - wanted).abs() < 1e-9, "{ratio}, not {wanted}");
        }
    }

    #[test]
    fn each_way_has_a_turn_in_each_round() {
        let workers = NonZeroU16::new(2).unwrap();
        for attack in [Attack::TaughtFree, Attack::LieAll] {
            let workers = (workers, Policy::Auto);
            let found = clocked(attack, (200, 1), workers, Some(2), Duration::ZERO).unwrap();
            assert!(found.transactions > 1);
            for series in [&found.sequential, &found.fresh, &found.learned] {
                assert_eq!(series.samples.len(), 2, "{attack}");
                assert!(series.wall() > Duration::ZERO && series.cpu() > Duration::ZERO);
            }
        }
    }
}
