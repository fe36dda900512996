//! Toy machines: small programs that branch on what they read, for driving the engine without
//! an EVM in the simulator, on threads, and under the seeded bugs.
//!
//! ```text
//!  ToyBlock --> ToyWorkload --> engine --> BlockEnd --.
//!     |                                               +--> compare
//!     '------> reference (an ordered map) ------------'
//! ```
//!
//! The reference shares the meaning of a program with the machine ([`run_program`]) and nothing
//! else: no store, no protocol, no worker.

mod batches;
mod case;
mod claims;
mod compare;
mod generator;
mod ledger;
mod location;
mod machine;
mod program;
mod reference;
mod rounds;
pub mod store;
mod workload;

pub use batches::ToyBatches;
pub use case::ToyCase;
pub use claims::{ToyClaim, ToyClaims};
pub use compare::{Mismatch, compare};
pub use generator::{Shape, random_block};
pub use ledger::{ToyEntries, ToyGroup, ToyLedger, ToyOutcome};
pub use location::{ACCOUNTS, SLOTS, ToyLocation, universe};
pub use machine::{BaseFailed, Rendezvous, ToyMachine, ToyWorkload};
pub use program::{
    Amount, Halted, Place, Step, ToyBlock, ToyOutput, ToyRejection, ToyState, ToyTx, run_program,
};
pub use reference::{Reference, ReferenceError, ReferenceOutcome, reference};
pub use rounds::{ToyEnd, ToyRest, ToyShared, publish, publish_rest};
