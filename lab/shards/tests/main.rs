//! Compares shards with a single process.

#[cfg(feature = "evm")]
mod evm;
#[cfg(feature = "mutants")]
mod seeded;
mod toy;
