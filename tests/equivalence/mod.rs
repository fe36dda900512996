//! Hand-made blocks, one for each corner that is known to break executors.
//!
//! Each is executed with 1, 2, 3 and 8 workers, forced to speculate and left to choose, as fast as
//! it goes and with higher transactions running before lower ones, and everything is compared with
//! sequential execution: outcomes, receipts, requests, gas, and the bundle with its reverts. What
//! a test asserts beside that is that the corner is really there.

mod access_lists;
mod admission;
mod balances;
mod beneficiary;
mod creation;
mod delegation;
mod forks;
mod in_order;
mod journal;
mod keccak;
mod lanes;
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
