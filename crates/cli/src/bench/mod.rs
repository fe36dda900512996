//! Measures a block in one process: sequential revm, its fastest sequential form, two threads
//! without concurrency control, and Braid on any numbers of workers.
//!
//! Every result is compared in full before anything is timed. In each round, every way of executing
//! the block takes one turn, in random order and after a pause. Wall time ends when the result can
//! be used. Processor time is that of all threads and includes dropping everything. Inputs are
//! copied before the clock starts. Figures are medians, and ratios are to [`Plain`] in the same
//! rounds.
//!
//! [`Plain`]: braid_blocks::sequential::Plain

mod against;
mod cores;
mod cost;
mod figures;
mod halves;
mod latency;
mod load;
mod memory;
pub mod priced;
mod rounds;
mod runs;
mod simulate;
mod stages;

pub use against::{Change, FEWEST, Round, Verdict};
pub use cost::{Cost, Costs, Way, costs};
pub use figures::{Figures, Series, ratio};
pub use halves::{Half, Means};
pub use latency::{Latency, ReadCounter, Waiting, slowed};
pub use load::{Load, compute};
pub use memory::{peak_of, reset_highest, resident};
pub use rounds::{BenchError, Subject, measure, rounds_for};
pub use runs::{parallel, sequential};
pub use simulate::{Bounds, Simulated, bounds, virtual_times};
pub use stages::{StageTimes, stages};
