//! A sweep over contention, from blocks in which all calls conflict to blocks in which few do.

use super::Bounded;
use braid_blocks::{
    block::Block,
    block_file::FileDatabase,
    timing::Timing,
    workload::{Contention, Order, ToldBy, When},
};
use braid_cli::bench::BenchError;
use core::num::NonZeroU16;

/// Numbers of slots, the rows of each plane.
pub const SLOTS: [u32; 8] = [1, 2, 4, 16, 40, 100, 300, 1_000];
/// Rows of a quick sweep.
pub const QUICK_SLOTS: [u32; 3] = [1, 40, 300];
const ORDERS: [Order; 5] =
    [Order::Random, Order::Skewed, Order::InTurn, Order::Runs(2), Order::Runs(250)];
const TOLD_BY: [ToldBy; 4] = [ToldBy::Callee, ToldBy::Argument, ToldBy::Caller, ToldBy::Nothing];

/// Cells that differ in the number of slots (rows) and in one other parameter (columns).
#[derive(Clone, Debug)]
pub struct Plane {
    /// Name of the parameter that differs by column.
    pub name: &'static str,
    /// Column headings.
    pub columns: Vec<String>,
    /// Cells, with one row for each number of slots.
    pub rows: Vec<(u32, Vec<Contention>)>,
}

impl Plane {
    fn new<T: core::fmt::Display>(
        name: &'static str,
        slots: &[u32],
        values: &[T],
        cell: impl Fn(&T) -> Contention,
    ) -> Self {
        let row = |slots: &u32| {
            let cells = values.iter().map(|value| Contention { slots: *slots, ..cell(value) });
            (*slots, cells.collect())
        };
        let columns = values.iter().map(ToString::to_string).collect();
        Self { name, columns, rows: slots.iter().map(row).collect() }
    }
}

/// Returns the planes of a sweep. Each varies the number of slots and one other parameter of
/// [`Contention::BASE`].
#[must_use]
pub fn planes(slots: &[u32]) -> Vec<Plane> {
    let base = Contention::BASE;
    let whens = [When::First, When::Middle, When::Last];
    vec![
        Plane::new("order", slots, &ORDERS, |order| Contention { order: *order, ..base }),
        Plane::new("told by", slots, &TOLD_BY, |told| Contention { told_by: *told, ..base }),
        Plane::new("when", slots, &whens, |when| Contention { when: *when, ..base }),
        Plane::new("us", slots, &[2_u32, 20, 100], |micros| Contention { micros: *micros, ..base }),
    ]
}

/// Returns every combination of the values of all parameters, 1,440 cells.
#[must_use]
pub fn whole() -> Vec<Contention> {
    let mut all = Vec::new();
    for told_by in TOLD_BY {
        for when in [When::First, When::Middle, When::Last] {
            for micros in [2, 20, 100] {
                for order in ORDERS {
                    let cell = |slots| Contention { slots, order, when, micros, told_by };
                    all.extend(SLOTS.map(cell));
                }
            }
        }
    }
    all
}

/// Measurement of a cell on some number of workers.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Parameters of the cell.
    pub contention: Contention,
    /// Figures and bounds.
    pub measured: Bounded,
}

/// Settings of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// Number of workers.
    pub workers: NonZeroU16,
    /// Rounds and pauses.
    pub timing: Timing,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Number of calls in each block; `None` for the default of each cell.
    pub transactions: Option<u32>,
}

impl Sweep {
    /// Measures a cell.
    ///
    /// # Errors
    /// Returns an error if a result differs from the sequential one or the generator failed.
    pub fn cell(&self, contention: Contention) -> Result<Cell, BenchError> {
        let (block, database) = self.block(contention)?;
        let measured = Bounded::measure(&contention, &block, &database, self.workers, self.timing)?;
        Ok(Cell { contention, measured })
    }

    /// Generates the block of a cell and the state before it.
    ///
    /// # Errors
    /// Returns an error if the generator failed.
    pub fn block(&self, contention: Contention) -> Result<(Block, FileDatabase), BenchError> {
        let transactions = self.transactions.unwrap_or(contention.transactions());
        let file = contention.block(transactions, self.seed).map_err(invalid)?;
        file.to_block().map_err(|error| invalid(format!("{error:?}")))
    }
}

fn invalid(error: impl core::fmt::Display) -> BenchError {
    BenchError::Invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_sweep_has_each_cell_of_the_base_planes_and_the_whole_one_all() {
        let planes = planes(&SLOTS);
        let cells = |plane: &Plane| plane.rows.iter().map(|(_, row)| row.len()).sum::<usize>();
        assert_eq!(planes.iter().map(cells).collect::<Vec<_>>(), [40, 32, 24, 24]);
        let all: HashSet<_> = whole().into_iter().collect();
        assert_eq!(all.len(), 1_440);
        let mut rows = planes.iter().flat_map(|plane| &plane.rows);
        assert!(
            rows.all(|(slots, row)| row.iter().all(|it| it.slots == *slots && all.contains(it)))
        );
    }

    #[test]
    fn a_cell_is_measured_beside_its_bounds() {
        let timing = Timing { rounds: 2, pause: core::time::Duration::ZERO };
        let workers = NonZeroU16::new(2).expect("not zero");
        let sweep = Sweep { workers, timing, seed: 1, transactions: Some(60) };
        let one = sweep.cell(Contention { slots: 1, ..Contention::BASE }).expect("a cell");
        let one = one.measured;
        assert!((one.chain_bound - 1.0).abs() < 1e-9, "{}", one.chain_bound);
        // Half of the work of each call precedes the slot, and the bound uses measured times.
        assert!(one.late_bound > 1.02, "{}", one.late_bound);
        let in_turn = Contention { slots: 300, order: Order::InTurn, ..Contention::BASE };
        let many = sweep.cell(in_turn).expect("a cell").measured;
        assert!(many.chain_bound > 1.3 && many.share() > 0.0, "{}", many.chain_bound);
        assert!(many.strategy().is_some());
    }
}
