//! Breaks the time of one block down by what its workers do.

use braid_evm::{Config, Observer, Stage, ids::WorkerId, observe, worker::Point};
use revm::DatabaseRef;
use serde::Serialize;
use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Number of runs; the shortest counts.
const RUNS: usize = 3;
/// Number of activities that are told apart.
const KINDS: usize = 9;
/// Number of marks that are timed to measure the cost of a mark.
const CALIBRATION: u32 = 20_000;

/// Microseconds of one block, summed over all workers, less the cost of reading the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StageTimes {
    /// Pre-block calls, planning, setting up the store.
    pub plan: f64,
    /// Running transactions: revm, and reads from the store and the database.
    pub execute: f64,
    /// Comparing reads, publishing writes, keeping outputs.
    pub publish: f64,
    /// The protocol's bookkeeping: coordinating, sending and receiving.
    pub coordinate: f64,
    /// Validating at the frontier.
    pub validate: f64,
    /// Committing.
    pub commit: f64,
    /// Waiting for work or for other workers.
    pub wait: f64,
    /// Post-block calls, receipts, bundle: wall time.
    pub bundle: f64,
    /// Wall time of the whole block, including the cost of the observer.
    pub observed: f64,
}

impl StageTimes {
    /// Multiplies each time by `by`.
    #[must_use]
    pub fn scaled(self, by: f64) -> Self {
        Self {
            plan: self.plan * by,
            execute: self.execute * by,
            publish: self.publish * by,
            coordinate: self.coordinate * by,
            validate: self.validate * by,
            commit: self.commit * by,
            wait: self.wait * by,
            bundle: self.bundle * by,
            observed: self.observed * by,
        }
    }
}

#[derive(Debug)]
struct Tally {
    since: Instant,
    stage: Stage,
    micros: [f64; KINDS],
    marks: [u32; KINDS],
}

/// Sums up times, in one tally per worker.
#[derive(Debug)]
struct Watch(Vec<Mutex<Tally>>);

impl Watch {
    fn new(workers: u16) -> Self {
        let tally = || Tally {
            since: Instant::now(),
            stage: Stage::End,
            micros: [0.0; KINDS],
            marks: [0; KINDS],
        };
        Self((0..workers).map(|_| Mutex::new(tally())).collect())
    }

    /// Returns times by kind, less `overhead` microseconds per mark.
    fn totals(self, overhead: f64) -> [f64; KINDS] {
        let mut totals = [0.0; KINDS];
        for tally in self.0 {
            let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
            for ((total, micros), marks) in totals.iter_mut().zip(tally.micros).zip(tally.marks) {
                *total += (micros - overhead * f64::from(marks)).max(0.0);
            }
        }
        totals
    }
}

/// Returns the index of a stage's total; `None` for a stage that is not timed.
const fn kind(stage: Stage) -> Option<usize> {
    Some(match stage {
        Stage::PreBlock | Stage::Plan => 0,
        Stage::At(Point::Begin) => 1,
        Stage::At(Point::Check | Point::Publish) => 2,
        Stage::At(Point::Coordinator | Point::Message | Point::Between) => 3,
        Stage::At(Point::Validate) => 4,
        Stage::At(Point::Commit) => 5,
        Stage::Wait => 6,
        Stage::Finish => 7,
        Stage::End => 8,
        _ => return None,
    })
}

impl Observer for Watch {
    fn begins(&self, worker: WorkerId, stage: Stage) {
        // Reads count as running; timing each would take longer than the read.
        if kind(stage).is_none() {
            return;
        }
        let Some(tally) = self.0.get(usize::from(worker.0)) else { return };
        let now = Instant::now();
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = now.saturating_duration_since(tally.since).as_secs_f64() * 1e6;
        if let Some(before) = kind(tally.stage) {
            if let Some(sum) = tally.micros.get_mut(before) {
                *sum += micros;
            }
            if let Some(marks) = tally.marks.get_mut(before) {
                *marks += 1;
            }
        }
        tally.stage = stage;
        tally.since = now;
    }
}

/// Returns the microseconds that one mark adds.
fn overhead() -> f64 {
    let watch = Watch::new(1);
    let start = Instant::now();
    for _ in 0..CALIBRATION {
        watch.begins(WorkerId(0), Stage::At(Point::Begin));
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(CALIBRATION)
}

/// Executes the block under observation. `None` if it does not execute.
pub fn stages<D>(config: Config, block: &Arc<braid_evm::Block>, database: &D) -> Option<StageTimes>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync,
{
    let overhead = overhead();
    let mut best: Option<StageTimes> = None;
    for _ in 0..RUNS {
        let watch = Watch::new(config.workers.get());
        let source = braid_evm::Cloned(database.clone());
        let start = Instant::now();
        let output = observe(config, Arc::clone(block), source, &watch).ok()?;
        let observed = start.elapsed().as_secs_f64() * 1e6;
        drop(output);
        let [plan, execute, publish, coordinate, validate, commit, wait, bundle, _] =
            watch.totals(overhead);
        let times = StageTimes {
            plan,
            execute,
            publish,
            coordinate,
            validate,
            commit,
            wait,
            bundle,
            observed,
        };
        if best.is_none_or(|best| observed < best.observed) {
            best = Some(times);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_blocks::workload::Preset;
    use core::num::NonZeroU16;
    use std::time::Duration;

    #[test]
    fn time_goes_where_it_is_spent() {
        let watch = Watch::new(2);
        let pause = Duration::from_millis(4);
        for (worker, stage) in [
            (0, Stage::At(Point::Begin)),
            (1, Stage::Wait),
            (0, Stage::At(Point::Read)),
            (0, Stage::At(Point::Commit)),
            (1, Stage::End),
            (0, Stage::End),
        ] {
            watch.begins(WorkerId(worker), stage);
            std::thread::sleep(pause);
        }
        let totals = watch.totals(0.0);
        // A stage lasts until the next mark of the same worker; reads are not marks.
        for (kind, pauses) in [(1, 3), (5, 2), (6, 3)] {
            assert!(totals[kind] >= 4_000.0 * f64::from(pauses), "{kind}: {totals:?}");
        }
        assert_eq!((totals[0], totals[2], totals[7]), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_block_spends_most_of_its_time_somewhere() {
        let file = Preset::Swaps.block(40, 1).unwrap();
        let (block, database) = file.to_block().unwrap();
        let block = Arc::new(braid_evm::Block::from(&block));
        for workers in [1, 2] {
            let config = Config::with_workers(NonZeroU16::new(workers).unwrap());
            let times = stages(config, &block, &database).unwrap();
            assert!(times.execute > 0.0 && times.bundle > 0.0 && times.plan > 0.0, "{times:?}");
            assert!(times.execute < times.observed * f64::from(workers), "{times:?}");
        }
    }
}
