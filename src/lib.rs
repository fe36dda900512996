//! Braid executes the transactions of an EVM block on many cores and returns exactly what
//! executing them one by one would return.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod error;
pub mod ids;
pub mod mv;
pub mod protocol;
pub mod runtime;
pub(crate) mod sync;
pub mod worker;
