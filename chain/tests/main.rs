//! The store and the chain, against references that share no code with them.

mod build;
mod disk;
mod execution_faults;
mod flips;
mod kill;
mod leaks;
mod pipeline;
mod rlp;
mod store;
mod streams;
mod support;
