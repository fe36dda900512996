//! Shards against one process.

#[cfg(feature = "evm")]
mod evm;
#[cfg(feature = "mutants")]
mod seeded;
mod toy;
