//! The planner: decides how a block runs. It runs no transaction and starts no thread, and no
//! result depends on it.
//!
//! [`choose`](choose::choose) returns the [`Strategy`] of the next transactions, with a reason,
//! from the features of the block before it runs ([`features`]), its execution so far
//! ([`progress`]) and the execution of earlier blocks ([`feedback`]). [`partition`] divides the
//! transactions among workers, and [`edges`] predicts which transactions wait for others.
//! All thresholds are in `src/thresholds.rs`.

mod backoff;
mod calls;
pub(super) mod choice;
mod choose;
pub(super) mod chooser;
pub(super) mod edges;
pub(super) mod features;
pub(super) mod feedback;
pub(super) mod known;
pub(super) mod longest;
mod paid;
pub(super) mod partition;
pub(super) mod progress;
pub(super) mod strategy;
mod trials;
mod tx;

pub(super) use paid::frequent_payees;
pub use strategy::{Reason, Segment, Strategy};
