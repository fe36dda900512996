//! The fuzz targets: each turns bytes into something to run, runs it, and tells what is wrong.
//!
//! The bodies are plain functions, so the tests of this package replay the corpus and what fuzzing has found
//! (`tests/corpus.rs`), with the shipped code and with seeded bugs.
//!
//! Tests replay the inputs of [`BLOCK_EQUIVALENCE`], [`BYTECODE`] and [`BLOCK_FILE`] in every way in which a
//! block can be executed. A fuzzer executes each input once, in the one way that the input chooses.

mod block_equivalence;
mod block_file;
mod blocks;
mod bytecode;
mod chosen;
mod protocol_events;
mod reached;
mod twists;
mod version_chain;
mod ways;

use braid_evm::EvmMutant;
use braid_evm::mv::StoreMutant;
use braid_evm::protocol::Mutant;
pub use reached::{Reached, reached};
use std::sync::atomic::{AtomicU64, Ordering};

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
    check: Check,
    /// What the fuzzer does with an input; the same, where that is fast.
    fuzz: Check,
}

type Check = fn(&[u8], Bugs) -> Result<(), String>;

/// Random hostile blocks in every way, against sequential execution. It takes a third of a second an input,
/// so the fuzzer uses the seven targets that follow.
pub const BLOCK_EQUIVALENCE: Target = both("block_equivalence", block_equivalence::check);
/// Strategies and changes between them, on blocks of up to a thousand transactions.
pub const STRATEGIES: Target = both("strategies", chosen::strategies);
/// Fees, payments and balances, with a fee and a precompile of the chain's own.
pub const FEES: Target = both("fees", chosen::fees);
/// The rules of every fork, and executors that go from one fork to another.
pub const FORKS: Target = both("forks", chosen::forks);
/// Transactions that share a journal, and reads that fail.
pub const JOURNALS: Target = both("journals", chosen::journals);
/// Ways in which a bundle is made, and entry points.
pub const BUNDLE: Target = both("bundle", chosen::bundle);
/// Blocks that come with their access lists, or with lists in which something is wrong.
pub const LISTS: Target = both("lists", chosen::lists);
/// Blocks whose transactions declare what they access, all of it or less than that.
pub const DECLARED: Target = both("declared", chosen::declared);
/// Contracts of arbitrary bytes against sequential execution.
pub const BYTECODE: Target =
    Target { name: "bytecode", check: bytecode::check, fuzz: bytecode::fuzz };
/// Block files of arbitrary bytes, and good ones with a few fields spoilt.
pub const BLOCK_FILE: Target =
    Target { name: "block_file", check: block_file::check, fuzz: block_file::fuzz };
/// Operations on the store against an ordered map.
pub const VERSION_CHAIN: Target = both("version_chain", version_chain::check);
/// Orders of events of small blocks against every rule of the models.
pub const PROTOCOL_EVENTS: Target = both("protocol_events", protocol_events::check);

/// All targets, the one that only tests run first.
pub const TARGETS: [Target; 12] = [
    BLOCK_EQUIVALENCE,
    STRATEGIES,
    FEES,
    FORKS,
    JOURNALS,
    BUNDLE,
    LISTS,
    DECLARED,
    BYTECODE,
    BLOCK_FILE,
    VERSION_CHAIN,
    PROTOCOL_EVENTS,
];

const fn both(name: &'static str, check: Check) -> Target {
    Target { name, check, fuzz: check }
}

/// Inputs of this process.
static INPUTS: AtomicU64 = AtomicU64::new(0);

/// Inputs after which a fuzzer tells once more what it has reached.
const TELL_EVERY: u64 = 10_000;

impl Target {
    /// Runs what `bytes` stand for with `bugs`, in every way.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(self, bytes: &[u8], bugs: Bugs) -> Result<(), String> {
        (self.check)(bytes, bugs)
    }

    /// Runs what `bytes` stand for as the fuzzer does, with `bugs`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check_chosen(self, bytes: &[u8], bugs: Bugs) -> Result<(), String> {
        (self.fuzz)(bytes, bugs)
    }

    /// Runs what `bytes` stand for with the shipped code, and tells now and then what inputs have reached so far.
    ///
    /// # Panics
    /// If anything is wrong.
    pub fn run(self, bytes: &[u8]) {
        let wrong = self.check_chosen(bytes, Bugs::default()).err();
        let inputs = INPUTS.fetch_add(1, Ordering::Relaxed) + 1;
        if wrong.is_some() || inputs.is_power_of_two() || inputs.is_multiple_of(TELL_EVERY) {
            eprint!("{} inputs of {}\n{}", inputs, self.name, reached());
        }
        if let Some(wrong) = wrong {
            panic!("{}: {wrong}", self.name);
        }
    }

    /// Runs the files that the command line names, first as the fuzzer does and then in every way, and tells
    /// what they have reached.
    ///
    /// # Errors
    /// A file cannot be read.
    ///
    /// # Panics
    /// If anything is wrong with one.
    pub fn replay(self) -> std::io::Result<()> {
        for path in std::env::args_os().skip(1) {
            let bytes = std::fs::read(&path)?;
            for check in [self.fuzz, self.check] {
                if let Err(wrong) = check(&bytes, Bugs::default()) {
                    panic!("{}: {}: {wrong}", self.name, path.display());
                }
            }
            println!("{}: right", path.display());
        }
        print!("{}", reached());
        Ok(())
    }
}
