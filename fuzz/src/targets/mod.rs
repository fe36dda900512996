//! The fuzz targets: each turns bytes into something to run, runs it, and tells what is wrong.
//!
//! The bodies are plain functions, so `cargo test` replays the corpus and what fuzzing has found
//! (`tests/corpus.rs`), with the shipped code and with seeded bugs.

mod block_equivalence;
mod block_file;
mod blocks;
mod bytecode;
mod protocol_events;
mod twists;
mod version_chain;
mod ways;

use braid_evm::EvmMutant;
use braid_evm::mv::StoreMutant;
use braid_evm::protocol::Mutant;

/// Bugs to seed, for tests of the targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    /// Of the protocol.
    pub protocol: Mutant,
    /// Of the store.
    pub store: StoreMutant,
    /// Of the Ethereum layer.
    pub evm: EvmMutant,
}

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its folders too.
    pub name: &'static str,
    check: fn(&[u8], Bugs) -> Result<(), String>,
}

/// Random hostile blocks against sequential execution.
pub const BLOCK_EQUIVALENCE: Target =
    Target { name: "block_equivalence", check: block_equivalence::check };
/// Contracts of arbitrary bytes against sequential execution.
pub const BYTECODE: Target = Target { name: "bytecode", check: bytecode::check };
/// Block files of arbitrary bytes, and good ones with a few fields spoilt.
pub const BLOCK_FILE: Target = Target { name: "block_file", check: block_file::check };
/// Operations on the store against an ordered map.
pub const VERSION_CHAIN: Target = Target { name: "version_chain", check: version_chain::check };
/// Orders of events of small blocks against every rule of the models.
pub const PROTOCOL_EVENTS: Target =
    Target { name: "protocol_events", check: protocol_events::check };

/// All targets.
pub const TARGETS: [Target; 5] =
    [BLOCK_EQUIVALENCE, BYTECODE, BLOCK_FILE, VERSION_CHAIN, PROTOCOL_EVENTS];

impl Target {
    /// Runs what `bytes` stand for with `bugs`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(self, bytes: &[u8], bugs: Bugs) -> Result<(), String> {
        (self.check)(bytes, bugs)
    }

    /// Runs what `bytes` stand for with the shipped code.
    ///
    /// # Panics
    /// If anything is wrong.
    pub fn run(self, bytes: &[u8]) {
        if let Err(wrong) = self.check(bytes, Bugs::default()) {
            panic!("{}: {wrong}", self.name);
        }
    }

    /// Runs the files that the process is given.
    ///
    /// # Errors
    /// A file cannot be read.
    ///
    /// # Panics
    /// If anything is wrong with one.
    pub fn replay(self) -> std::io::Result<()> {
        for path in std::env::args_os().skip(1) {
            self.run(&std::fs::read(&path)?);
            println!("{}: right", path.display());
        }
        Ok(())
    }
}
