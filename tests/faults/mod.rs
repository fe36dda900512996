//! What goes wrong around a block: databases that fail, code that panics, callers that have had
//! enough, workers without a database. And that the executor is of use afterwards, every time.

pub(crate) mod cancelled;
mod errors;
mod panics;
mod parent;
mod pull;
mod settled;
mod slow;
mod sources;
mod stream;
