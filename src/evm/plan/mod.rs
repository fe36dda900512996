//! Planning: decides how a block runs. Nothing here runs a transaction or starts a thread, and no
//! result depends on it.
//!
//! [`choose`](choose::choose) returns the [`Strategy`] of the next transactions, with a reason,
//! from what the block shows before it runs ([`features`]), what it has shown so far ([`progress`])
//! and what earlier blocks have shown ([`feedback`]). [`partition`] cuts the transactions up for
//! each strategy. All thresholds are in [`thresholds`].

mod backoff;
mod calls;
pub(super) mod choice;
mod choose;
pub(super) mod chooser;
pub(super) mod declared;
pub(super) mod features;
pub(super) mod feedback;
pub(super) mod hinted;
pub(super) mod longest;
pub(super) mod pace;
mod paid;
pub(super) mod partition;
pub(super) mod progress;
pub(super) mod strategy;
pub(super) mod thresholds;
mod trials;
mod tx;

pub(super) use paid::often_paid;
pub use strategy::{Reason, Segment, Strategy};
