//! Which functions of contracts conflict, and at which variable.
//!
//! Two transactions of different senders conflict at a place if one of them changes what is there and the other one
//! reads or changes it, in the order of the block. Pairs of one sender are left out: they run one after the other
//! whatever the contracts do.

mod finding;
mod found;
mod sarif;
pub mod words;

pub use finding::{Example, Finding, Function, Place};
pub use found::{Lint, Subject};
pub use sarif::sarif;
