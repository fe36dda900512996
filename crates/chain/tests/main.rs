//! Tests of the store and the chain, against references that share no code with them.

mod ahead;
mod archive;
mod build;
mod disk;
mod errors;
mod execution_faults;
mod export;
mod first;
mod flips;
mod kill;
mod leaks;
mod nodes;
mod pipeline;
mod pool;
mod private_chain;
mod prune;
mod receipts;
mod rlp;
mod rules;
#[cfg(feature = "tracing")]
mod spans;
mod state_roots;
mod store;
mod streams;
mod support;
