//! Breaks the time of one block down by what its workers do.

use braid_blocks::statistics::median;
use braid_evm::{
    Block, Cloned, Config, ObservedExecutor,
    ids::WorkerId,
    runtime::{CallerStage, Observer},
    worker::Point,
};
use revm::DatabaseRef;
use serde::Serialize;
use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Number of runs before the runs that count: the executor learns, and its memory grows.
const WARM_UP: usize = 2;
/// Number of runs whose medians count.
const RUNS: usize = 7;
/// Number of activities that are told apart.
const KINDS: usize = 8;
/// Number of marks in a batch that is timed to measure the cost of a mark.
const MARKS_PER_BATCH: u32 = 2_000;
/// Number of batches that are timed.
const CALIBRATION_BATCHES: u32 = 9;

/// Microseconds of one block, summed over all workers, less the cost of reading the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StageTimes {
    /// Pre-block calls, choosing strategies, setting up segments.
    pub plan: f64,
    /// Running transactions: revm, and reads from the store and the database. What the caller runs
    /// sequentially counts as a whole, with its commits and its share of the bundle.
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
    /// Post-block calls, receipts, bundle.
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
    /// Index of the total that grows now; `None` outside a task.
    kind: Option<usize>,
    micros: [f64; KINDS],
    marks: [u32; KINDS],
}

impl Tally {
    fn count_until(&mut self, now: Instant) {
        let micros = now.saturating_duration_since(self.since).as_secs_f64() * 1e6;
        if let Some(sum) = self.kind.and_then(|kind| self.micros.get_mut(kind)) {
            *sum += micros;
        }
        self.since = self.since.max(now);
    }
}

/// Sums up times, in one tally per worker.
#[derive(Debug)]
struct Watch(Vec<Mutex<Tally>>);

impl Watch {
    fn new(workers: u16) -> Self {
        let tally =
            || Tally { since: Instant::now(), kind: None, micros: [0.0; KINDS], marks: [0; KINDS] };
        Self((0..workers).map(|_| Mutex::new(tally())).collect())
    }

    /// From here on, the time of `worker` counts as `kind`.
    fn begins(&self, worker: WorkerId, kind: Option<usize>) {
        let Some(tally) = self.0.get(usize::from(worker.0)) else { return };
        let now = Instant::now();
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(marks) = tally.kind.and_then(|before| tally.marks.get_mut(before)) {
            *marks += 1;
        }
        tally.count_until(now);
        tally.kind = kind;
    }

    /// Returns times by kind since the last call, less `overhead` microseconds per mark. What is
    /// still going on, on a worker that the block no longer needs, counts up to now.
    fn take(&self, overhead: f64) -> [f64; KINDS] {
        let mut totals = [0.0; KINDS];
        for tally in &self.0 {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.count_until(Instant::now());
            let micros = std::mem::take(&mut tally.micros);
            let marks = std::mem::take(&mut tally.marks);
            for ((total, micros), marks) in totals.iter_mut().zip(micros).zip(marks) {
                *total += (micros - overhead * f64::from(marks)).max(0.0);
            }
        }
        totals
    }
}

const PLAN: usize = 0;
const EXECUTE: usize = 1;
const PUBLISH: usize = 2;
const COORDINATE: usize = 3;
const VALIDATE: usize = 4;
const COMMIT: usize = 5;
const WAIT: usize = 6;
const BUNDLE: usize = 7;

impl Observer for Watch {
    fn passes(&self, worker: WorkerId, point: Point) {
        let kind = match point {
            Point::Begin => EXECUTE,
            Point::Check | Point::Publish => PUBLISH,
            Point::Coordinator | Point::Message | Point::Between => COORDINATE,
            Point::Validate => VALIDATE,
            Point::Commit => COMMIT,
            Point::Fold => BUNDLE,
            // Reads count as running; timing each would take longer than the read.
            _ => return,
        };
        self.begins(worker, Some(kind));
    }

    fn waits(&self, worker: WorkerId) {
        self.begins(worker, Some(WAIT));
    }

    fn ends(&self, worker: WorkerId) {
        self.begins(worker, None);
    }

    fn calls(&self, stage: CallerStage) {
        let kind = match stage {
            CallerStage::Before | CallerStage::Plan => PLAN,
            CallerStage::Run => EXECUTE,
            CallerStage::After => BUNDLE,
        };
        self.begins(WorkerId(0), Some(kind));
    }
}

/// Returns the microseconds that one mark adds: a median, as the system may interrupt a batch.
fn overhead() -> f64 {
    let watch = Watch::new(1);
    let batch = |_| {
        let start = Instant::now();
        for _ in 0..MARKS_PER_BATCH {
            watch.passes(WorkerId(0), Point::Begin);
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(MARKS_PER_BATCH)
    };
    median((0..CALIBRATION_BATCHES).map(batch).collect()).unwrap_or_default()
}

/// Executes the block under observation. `None` if it does not execute.
pub fn stages<D>(config: Config, block: &Arc<Block>, database: &D) -> Option<StageTimes>
where
    D: DatabaseRef<Error: Display + Send> + Clone + Send + Sync + 'static,
{
    let overhead = overhead();
    let watch = Arc::new(Watch::new(config.workers.get()));
    let mut executor = ObservedExecutor::new(config, watch.clone()).ok()?;
    let mut runs = Vec::new();
    for run in 0..WARM_UP + RUNS {
        let source = Cloned(database.clone());
        // Started before and read after the tallies, so that no worker's total exceeds the block's
        // time.
        let start = Instant::now();
        watch.take(overhead);
        let output = executor.execute(Arc::clone(block), source).ok()?;
        let totals = watch.take(overhead);
        let observed = start.elapsed().as_secs_f64() * 1e6;
        drop(output);
        if run >= WARM_UP {
            runs.push((totals, observed));
        }
    }
    let times = |kind: usize| {
        let times = runs.iter().filter_map(|(totals, _)| totals.get(kind).copied());
        median(times.collect()).unwrap_or_default()
    };
    Some(StageTimes {
        plan: times(PLAN),
        execute: times(EXECUTE),
        publish: times(PUBLISH),
        coordinate: times(COORDINATE),
        validate: times(VALIDATE),
        commit: times(COMMIT),
        wait: times(WAIT),
        bundle: times(BUNDLE),
        observed: median(runs.iter().map(|(_, observed)| *observed).collect()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_blocks::workload::Preset;
    use braid_evm::{Forced, Policy};
    use core::num::NonZeroU16;
    use std::time::Duration;

    #[test]
    fn time_goes_where_it_is_spent() {
        let watch = Watch::new(2);
        let pause = Duration::from_millis(4);
        let steps: [&dyn Fn(&Watch); 6] = [
            &|watch| watch.passes(WorkerId(0), Point::Begin),
            &|watch| watch.waits(WorkerId(1)),
            &|watch| watch.passes(WorkerId(0), Point::Read),
            &|watch| watch.passes(WorkerId(0), Point::Commit),
            &|watch| watch.ends(WorkerId(1)),
            &|watch| watch.ends(WorkerId(0)),
        ];
        for step in steps {
            step(&watch);
            std::thread::sleep(pause);
        }
        let totals = watch.take(0.0);
        // A stage lasts until the next mark of the same worker; reads are not marks.
        for (kind, pauses) in [(EXECUTE, 3), (COMMIT, 2), (WAIT, 3)] {
            assert!(totals[kind] >= 4_000.0 * f64::from(pauses), "{kind}: {totals:?}");
        }
        assert_eq!((totals[PLAN], totals[PUBLISH], totals[BUNDLE]), (0.0, 0.0, 0.0));
        assert_eq!(watch.take(0.0), [0.0; KINDS]);
    }

    /// A worker that builds the bundle meanwhile takes part in a task.
    #[test]
    fn what_the_caller_runs_sequentially_counts_as_execution() {
        let file = Preset::Raw.block(1_200, 1).unwrap();
        let (block, database) = file.to_block().unwrap();
        let block = Arc::new(Block::from(&block));
        let mut config = Config::with_workers(NonZeroU16::new(2).unwrap());
        config.policy = Policy::Sequential;
        let times = stages(config, &block, &database).unwrap();
        assert!(times.coordinate < times.execute / 10.0, "{times:?}");
    }

    #[test]
    fn every_stage_of_a_block_takes_time() {
        let file = Preset::Swaps.block(40, 1).unwrap();
        let (block, database) = file.to_block().unwrap();
        let block = Arc::new(Block::from(&block));
        for workers in [1, 2] {
            for policy in [Policy::Sequential, Policy::Forced(Forced::Speculative)] {
                let mut config = Config::with_workers(NonZeroU16::new(workers).unwrap());
                config.policy = policy;
                let times = stages(config, &block, &database).unwrap();
                assert!(times.execute > 0.0 && times.bundle > 0.0 && times.plan > 0.0, "{times:?}");
                assert!(times.execute < times.observed * f64::from(workers), "{times:?}");
                let shared = [times.publish, times.coordinate, times.commit];
                let is_shared = policy != Policy::Sequential;
                assert!(shared.iter().all(|time| (*time > 0.0) == is_shared), "{times:?}");
            }
        }
    }
}
