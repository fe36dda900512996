//! Faults around a block: failing databases, panicking code, callers that cancel, and workers
//! without a database. The executor must stay usable after each.

pub(crate) mod cancelled;
mod errors;
mod panics;
mod parent;
mod pull;
mod settled;
mod slow;
mod sources;
mod straight;
mod stream;
