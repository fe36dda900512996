//! Hand-made blocks, one for each corner that is known to break executors.
//!
//! Each is executed with 1, 2, 3 and 8 workers, forced to speculate and with the default strategy,
//! at full speed and with higher transactions running before lower ones. Everything is compared
//! with sequential execution: outcomes, receipts, requests, gas, and the bundle with its reverts.
//! Further assertions of a test make sure that the corner is really reached.

mod access_lists;
mod admission;
mod after_batches;
mod balances;
mod beneficiary;
mod creation;
mod delegation;
mod forks;
mod in_order;
mod journal;
mod keccak;
mod lifecycle;
mod longest;
#[cfg(feature = "mutants")]
mod mutants;
mod overflow;
mod overlap;
mod paid;
mod parents;
mod parts;
mod payments;
mod reads;
mod requests;
mod system;
mod turns;
#[cfg(feature = "testing")]
mod whole;
