//! Random hostile blocks on the simulated runtime: the shipped Ethereum layer, under a schedule
//! that a seed decides, with faults, compared with sequential execution.
//!
//! A seed determines one [`Scenario`]: block, configuration, fault and schedule. The same scenario
//! always takes the same steps.

mod judge;
mod scenario;

pub use judge::{Ending, Judged, judge};
pub use scenario::{DeclaredWish, FaultKind, ListWish, Scenario, Wishes};
