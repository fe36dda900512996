//! Shards against one process.

#[cfg(feature = "mutants")]
mod seeded;
mod toy;
