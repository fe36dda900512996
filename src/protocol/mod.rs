//! The commit protocol: a pure state machine with a single owner.
//!
//! Events go in ([`Protocol::apply`]), commands come out ([`Protocol::poll`]). The protocol knows
//! indices only: no state, no threads, no clock, no EVM. The threaded executor, the simulator, loom
//! and the stateright models drive this very type.
//!
//! # The life of a transaction
//!
//! ```text
//!            dispatch            report: executed            frontier: valid
//!  Pending ------------> InFlight ----------------> Executed ---------------> Final
//!     ^ ^                 |   |                         |
//!     | |    blocked on i |   | failed, early, capped   | stale: abort
//!     | +---- Blocked <---+   +-----> Parked <----------+ (or back to Pending)
//!     +--- i published or final   runs at the frontier only
//! ```
//!
//! # Obligations of the owner
//!
//! [`Command`] names the event that answers each command. A command must be performed before the
//! next `poll`.
//!
//! The frontier is the lowest index that has not committed. Everything above it is speculation,
//! where a wrong verdict only costs time. Below the frontier everything is final, so a transaction
//! that runs at the frontier runs once, on the right state (I8). The owner runs it itself
//! ([`Command::RunHere`]), so it is never queued behind speculation.

mod batch_jobs;
mod counters;
mod dispatch;
mod events;
mod frontier;
mod groups;
mod halt;
mod help;
mod plan;
mod private;
mod slot;
mod state;
mod waste;

pub use counters::Counters;
pub use events::{
    BatchReport, Command, Event, Failure, Job, JobReport, RunMode, RunResult, TxReport, Verdict,
};
pub use plan::{Chunks, Jobs, Limits, Plan, Waste};
pub use slot::Status;
pub use state::{Halt, Protocol};
