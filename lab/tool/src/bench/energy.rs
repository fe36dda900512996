//! Cost of a block: processor time, and the energy that the machine counts, per gas.

use braid_blocks::{
    block::Block,
    block_file::FileDatabase,
    compare::braid::outputs,
    sequential::{OnInvalid, Prepared},
    timing::{Pauses, Times},
};
use braid_cli::bench::{parallel, sequential};
use braid_evm::{Config, Executor};
use core::num::NonZeroU16;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Folder in which Linux publishes its energy counters.
const COUNTERS: &str = "/sys/class/powercap";

/// The processors' energy counters (RAPL), as far as the machine has them and this user may read
/// them.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    packages: Vec<Package>,
}

#[derive(Clone, Debug)]
struct Package {
    counter: PathBuf,
    /// Value in microjoules at which the counter wraps.
    range: u64,
}

impl Meter {
    /// Opens the counters of this machine.
    #[must_use]
    pub fn of_machine() -> Self {
        Self::of(Path::new(COUNTERS))
    }

    /// Opens the counters in a folder, one per socket. A zone within a socket has a name with two
    /// colons and is left out.
    fn of(folder: &Path) -> Self {
        let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let packages = entries.filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_package = name.contains("-rapl:") && name.matches(':').count() == 1;
            let counter = entry.path().join("energy_uj");
            // Since 2020, only root may read the counters.
            let is_readable = is_package && number(counter.clone()).is_some();
            let range = number(entry.path().join("max_energy_range_uj"))?;
            is_readable.then_some(Package { counter, range })
        });
        Self { packages: packages.collect() }
    }

    /// Returns the microjoules counted so far, by socket; `None` without counters.
    #[must_use]
    pub fn read(&self) -> Option<Vec<u64>> {
        if self.packages.is_empty() {
            return None;
        }
        let number =
            |package: &Package| fs::read_to_string(&package.counter).ok()?.trim().parse().ok();
        self.packages.iter().map(number).collect()
    }

    /// Returns the joules of all sockets between two readings.
    fn between(&self, before: &[u64], after: &[u64]) -> f64 {
        let each = self.packages.iter().zip(before.iter().zip(after));
        let each = each.map(|(package, (before, after))| match after.checked_sub(*before) {
            Some(grown) => grown,
            None => after.saturating_add(package.range.saturating_sub(*before)),
        });
        each.sum::<u64>() as f64 / 1e6
    }
}

/// Total cost of several executions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Wall time.
    pub wall: Duration,
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Energy of all sockets, including that of other processes. `None` without counters.
    pub joules: Option<f64>,
    /// Gas of the blocks, counted once per execution.
    pub gas: u64,
}

impl Cost {
    /// Adds another cost.
    pub fn add(&mut self, other: &Self) {
        let none_yet = self.gas == 0;
        self.wall += other.wall;
        self.cpu += other.cpu;
        self.joules = match (self.joules, other.joules) {
            (None, joules) if none_yet => joules,
            (one, other) => one.zip(other).map(|(one, other)| one + other),
        };
        self.gas = self.gas.saturating_add(other.gas);
    }

    /// Returns the gas in millions.
    fn mgas(&self) -> f64 {
        (self.gas as f64 / 1e6).max(f64::MIN_POSITIVE)
    }

    /// Returns processor seconds per million gas.
    #[must_use]
    pub fn cpu_per_mgas(&self) -> f64 {
        self.cpu.as_secs_f64() / self.mgas()
    }

    /// Returns wall seconds per million gas.
    #[must_use]
    pub fn wall_per_mgas(&self) -> f64 {
        self.wall.as_secs_f64() / self.mgas()
    }

    /// Returns joules per million gas.
    #[must_use]
    pub fn joules_per_mgas(&self) -> Option<f64> {
        self.joules.map(|joules| joules / self.mgas())
    }
}

/// Why the cost of a block was not measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnergyError {
    /// The block does not execute.
    #[error("{0}")]
    Invalid(String),
    /// A result differs from that of sequential execution.
    #[error("another result than sequential execution\n{0}")]
    Different(String),
}

/// Ways of executing blocks, with the total cost of each.
#[derive(Debug)]
pub struct Ways {
    meter: Meter,
    /// Cost of sequential execution.
    pub sequential: Cost,
    /// Cost on each number of workers.
    pub parallel: Vec<(NonZeroU16, Cost)>,
    executors: Vec<Executor>,
}

impl Ways {
    /// Creates the baseline and an executor for each number of `workers`.
    ///
    /// # Errors
    /// Returns an error if a thread could not be started.
    pub fn new(workers: &[NonZeroU16], meter: Meter) -> Result<Self, EnergyError> {
        let new = |workers: &NonZeroU16| Executor::new(Config::with_workers(*workers));
        let executors = workers.iter().map(new).collect::<Result<_, _>>();
        let executors = executors.map_err(|error| EnergyError::Invalid(error.to_string()))?;
        let parallel = workers.iter().map(|workers| (*workers, Cost::default())).collect();
        Ok(Self { meter, sequential: Cost::default(), parallel, executors })
    }

    /// Executes a block `rounds` times in each way, in turn, and adds the cost to the totals.
    /// Returns the cost of this block alone.
    ///
    /// # Errors
    /// Returns an error if the block is invalid or a result differs from the sequential one.
    pub fn execute(
        &mut self,
        block: &Block,
        database: &FileDatabase,
        rounds: u32,
    ) -> Result<(Cost, Vec<Cost>), EnergyError> {
        let invalid = |error: &dyn core::fmt::Display| EnergyError::Invalid(error.to_string());
        let shared = Arc::new(braid_evm::Block::from(block));
        let expected = Prepared::new(block).run(database.clone(), OnInvalid::Reject);
        let expected = expected.map_err(|error| invalid(&error))?;
        let mut gas = 0;
        for executor in &mut self.executors {
            let output = executor.block(Arc::clone(&shared)).database(database.clone()).execute();
            let output = output.map_err(|error| invalid(&error))?;
            let differences = outputs(&expected, &output);
            if !differences.is_empty() {
                return Err(EnergyError::Different(differences.to_string()));
            }
            gas = output.gas_used;
        }
        let mut own = (Cost::default(), vec![Cost::default(); self.executors.len()]);
        for _ in 0..rounds {
            let source = database.clone();
            own.0.add(&cost(&self.meter, gas, || sequential(block, source, Pauses::default())));
            for (executor, sum) in self.executors.iter_mut().zip(&mut own.1) {
                let source = database.clone();
                sum.add(&cost(&self.meter, gas, || {
                    parallel(executor, &shared, source, Pauses::default())
                }));
            }
        }
        self.sequential.add(&own.0);
        self.parallel.iter_mut().zip(&own.1).for_each(|((_, sum), cost)| sum.add(cost));
        Ok(own)
    }
}

/// Measures the cost of one execution.
fn cost(meter: &Meter, gas: u64, run: impl FnOnce() -> Times) -> Cost {
    let before = meter.read();
    let Times { wall, cpu } = run();
    let joules = before.zip(meter.read()).map(|(before, after)| meter.between(&before, &after));
    Cost { wall, cpu, joules, gas }
}

#[cfg(test)]
mod tests {
    use super::*;
    use braid_blocks::workload::Preset;

    #[test]
    fn the_counters_of_all_sockets_are_added_and_begin_again() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, file: &str, text: &str| {
            fs::create_dir_all(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join(file), text).unwrap();
        };
        for (name, count) in [("intel-rapl:0", "900\n"), ("intel-rapl:1", "5\n")] {
            write(name, "energy_uj", count);
            write(name, "max_energy_range_uj", "1000\n");
        }
        // A zone within a socket, and a device that is no socket.
        write("intel-rapl:0:0", "energy_uj", "7\n");
        write("intel-rapl:0:0", "max_energy_range_uj", "1000\n");
        write("dtpm", "name", "x\n");
        let meter = Meter::of(folder.path());
        let before = meter.read().unwrap();
        assert_eq!(before.iter().sum::<u64>(), 905);
        write("intel-rapl:0", "energy_uj", "100\n");
        write("intel-rapl:1", "energy_uj", "55\n");
        let joules = meter.between(&before, &meter.read().unwrap());
        assert!((joules - 250e-6).abs() < 1e-12, "{joules}");
        assert!(Meter::of(&folder.path().join("nothing")).read().is_none());
    }

    #[test]
    fn each_way_is_counted_for_the_same_gas() {
        let (block, database) = Preset::Erc20.block(60, 1).unwrap().to_block().unwrap();
        let workers = [1, 2].map(|workers| NonZeroU16::new(workers).unwrap());
        let mut ways = Ways::new(&workers, Meter::default()).unwrap();
        let (own, _) = ways.execute(&block, &database, 2).unwrap();
        ways.execute(&block, &database, 1).unwrap();
        assert_eq!((ways.sequential.gas, own.joules), (own.gas / 2 * 3, None));
        for (_, cost) in &ways.parallel {
            assert_eq!(cost.gas, ways.sequential.gas);
            assert!(cost.cpu_per_mgas() > 0.0 && cost.wall_per_mgas() > 0.0, "{cost:?}");
        }
    }

    #[test]
    fn energy_that_was_not_told_once_is_not_told() {
        let cost = |joules| Cost { joules, gas: 1_000_000, ..Cost::default() };
        let mut sum = Cost::default();
        sum.add(&cost(Some(2.0)));
        sum.add(&cost(Some(4.0)));
        assert_eq!(sum.joules_per_mgas(), Some(3.0));
        sum.add(&cost(None));
        assert_eq!(sum.joules_per_mgas(), None);
    }
}
