//! The commit protocol: a pure state machine with a single owner.
//!
//! Events go in ([`Protocol::apply`]), commands come out ([`Protocol::poll`]). It knows indices
//! only: no state, no threads, no clock, no EVM. The threaded executor, the simulator, loom and
//! the stateright models drive this very type.
//!
//! # The life of a transaction
//!
//! ```text
//!            dispatch            report: executed            frontier: valid
//!  Pending ------------> InFlight ----------------> Executed ---------------> Committed
//!     ^ ^                 |   |                         |
//!     | |    blocked on i |   | failed, early, capped   | stale: discard
//!     | +---- Blocked <---+   +-----> Parked <----------+ (or back to Pending)
//!     +--- i published            runs at the frontier only
//! ```
//!
//! # What the owner must do with a command
//!
//! [`Command`] says which event answers each one. A command is performed before the next `poll`.
//!
//! The frontier is the lowest index that has not committed. Whatever a transaction does above
//! it is speculation: a wrong verdict there costs time. At the frontier everything below is
//! final, so a transaction that has to run there runs once and is right (I8); the owner runs it
//! itself ([`Command::RunHere`]), so it is never queued behind speculation.

mod batch;
mod batch_jobs;
mod counters;
mod dispatch;
mod events;
mod frontier;
mod groups;
mod halt;
mod help;
mod mutants;
mod plan;
mod private;
mod slot;
mod state;
mod waste;

pub use batch::Batch;
pub use counters::Counters;
pub use events::{
    BatchReport, Command, Event, Failure, Job, JobReport, RunMode, RunResult, TxReport, Verdict,
};
pub use mutants::Mutant;
pub use plan::{Limits, Plan, Policy, Waste};
pub use slot::Status;
pub use state::{Halt, Protocol};
