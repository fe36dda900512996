//! Finds the contract functions that conflict, and the variables at which they conflict.
//!
//! Two transactions of different senders conflict at a location if one of them changes the value
//! and the other one reads or changes it, in block order. Pairs of one sender are left out, because
//! they run one after the other whatever the contracts do.

mod finding;
mod found;
mod sarif;
pub mod words;

pub use finding::{Conflict, Example, Finding, Function};
pub use found::{Lint, Subject};
pub use sarif::sarif;
