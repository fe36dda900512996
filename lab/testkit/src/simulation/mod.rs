//! Random hostile blocks on the simulated runtime: the Ethereum layer as it ships, under a schedule
//! that a seed decides, with faults, against sequential execution.
//!
//! A seed stands for one [`Scenario`]: block, choices, fault and schedule. The same scenario takes
//! the same steps each time.

mod judge;
mod scenario;

pub use judge::{Ending, Judged, judge};
pub use scenario::{DeclaredWish, FaultKind, ListWish, Scenario, Wishes};
