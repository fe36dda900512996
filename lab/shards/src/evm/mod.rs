//! EVM blocks on shards: the core's machine, on plain revm.

mod compare;
mod machine;
mod record;
mod run;
mod state;

pub use compare::compare;
pub use machine::Evm;
pub use record::{RecordError, Recorded, hash, record};
pub use run::{EvmOutput, EvmTx, Kind, Surroundings};
pub use state::{AccountValue, EvmDelta, EvmKey, EvmValue};
