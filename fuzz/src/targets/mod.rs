//! The fuzz targets: each converts bytes to something to run, runs it, and reports errors.
//!
//! The bodies are plain functions, so that the tests of this package replay the corpus and the
//! inputs that fuzzing has found (`tests/corpus.rs`), with the shipped code and with seeded bugs.
//!
//! Tests replay the inputs of [`BLOCK_EQUIVALENCE`], [`BYTECODE`] and [`BLOCK_FILE`] in every way
//! in which a block can be executed. A fuzzer executes each input once, in the way that the input
//! selects.

mod alloy;
mod block_equivalence;
mod block_file;
mod blocks;
mod bytecode;
mod chain;
mod chosen;
mod genesis;
mod json_rpc;
mod pool;
mod protocol_events;
mod reached;
mod rlp;
mod spoilt;
mod twists;
mod version_chain;
mod ways;

use crate::mutate::Transactions;
use crate::seeded::Seeded;
use braid_evm::runtime::simulated::Random;
pub use reached::{Reached, reached};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target and of its folders.
    pub name: &'static str,
    check: Check,
    /// Faster check that the fuzzer uses; the same check where that is fast.
    fuzz: Check,
    /// Finds the transactions in an input.
    transactions: fn(&[u8]) -> Transactions,
}

type Check = fn(&[u8]) -> Result<(), String>;

/// Compares random hostile blocks in every way with sequential execution. An input takes a third of
/// a second, so the fuzzer uses the seven targets below.
pub const BLOCK_EQUIVALENCE: Target = of_blocks("block_equivalence", block_equivalence::check);
/// Strategies and changes between them, on blocks of up to a thousand transactions.
pub const STRATEGIES: Target = of_blocks("strategies", chosen::strategies);
/// Fees, payments and balances, with a surcharge and a precompile.
pub const FEES: Target = of_blocks("fees", chosen::fees);
/// The rules of every fork, and executors that change between forks.
pub const FORKS: Target =
    Target { transactions: chosen::transactions_of_fork, ..both("forks", chosen::forks) };
/// Transactions that share a journal, and reads that fail.
pub const JOURNALS: Target = of_blocks("journals", chosen::journals);
/// Ways of building a bundle, and entry points.
pub const BUNDLE: Target = of_blocks("bundle", chosen::bundle);
/// Blocks with right or wrong access lists.
pub const LISTS: Target = of_blocks("lists", chosen::lists);
/// Blocks with complete or incomplete declarations.
pub const DECLARED: Target = of_blocks("declared", chosen::declared);
/// Contracts of arbitrary bytes against sequential execution.
pub const BYTECODE: Target = Target {
    fuzz: bytecode::fuzz,
    transactions: bytecode::transactions,
    ..both("bytecode", bytecode::check)
};
/// Block files of arbitrary bytes, and valid ones with changed fields.
pub const BLOCK_FILE: Target =
    Target { fuzz: block_file::fuzz, ..both("block_file", block_file::check) };
/// Operations on the store against an ordered map.
pub const VERSION_CHAIN: Target = both("version_chain", version_chain::check);
/// Orders of events of small blocks, with every rule of the models.
pub const PROTOCOL_EVENTS: Target = both("protocol_events", protocol_events::check);
/// Blocks, transactions, receipts and access lists in RLP, decoded and encoded again.
pub const RLP: Target = both("rlp", rlp::check);
/// The pool of transactions against a list that is searched each time.
pub const POOL: Target = both("pool", pool::check);
/// Genesis files of arbitrary bytes, and valid ones with changed fields, up to a chain.
pub const GENESIS: Target = both("genesis", genesis::check);
/// JSON-RPC requests to a node: the form of the responses.
pub const JSON_RPC: Target = both("json_rpc", json_rpc::check);
/// A chain in memory that is killed, unwound, pruned and reopened.
pub const CHAIN: Target = both("chain", chain::check);
/// Braid as a block executor of alloy-evm, over one `State` for several blocks.
pub const ALLOY: Target = of_blocks("alloy", alloy::check);

/// All targets, starting with the one that only tests run.
pub const TARGETS: [Target; 18] = [
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
    RLP,
    POOL,
    GENESIS,
    JSON_RPC,
    CHAIN,
    ALLOY,
];

const fn both(name: &'static str, check: Check) -> Target {
    Target { name, check, fuzz: check, transactions: |_| Transactions::default() }
}

/// Creates a target whose inputs begin with a block.
const fn of_blocks(name: &'static str, check: Check) -> Target {
    Target { transactions: Transactions::of, ..both(name, check) }
}

/// Number of inputs run in this process.
static INPUTS: AtomicU64 = AtomicU64::new(0);

/// Number of inputs between reports of the counts that a fuzzer has reached.
const TELL_EVERY: u64 = 10_000;

/// Maximum length of a random input, in bytes.
const LONGEST: u64 = 1_500;

/// Returns the random input of a seed.
#[must_use]
pub fn random_input(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let length = random.below(LONGEST);
    (0..length).map(|_| random.next_u64() as u8).collect()
}

/// Settings of `cargo xtask fuzz --teeth`.
#[derive(Clone, Copy, Debug)]
struct Measured {
    bug: Option<Seeded>,
    is_random: bool,
}

static MEASURED: OnceLock<Measured> = OnceLock::new();

impl Measured {
    fn of(target: Target) -> Self {
        let bug = std::env::var("BRAID_SEEDED_BUG").ok().map(|name| {
            let bug = Seeded::named(target.name, &name);
            bug.unwrap_or_else(|| panic!("{name} is no bug of {}", target.name))
        });
        Self { bug, is_random: std::env::var_os("BRAID_RANDOM_BYTES").is_some() }
    }
}

impl Target {
    /// Checks the input `bytes` in every way, with the seeded bug of this thread.
    ///
    /// # Errors
    /// Returns the error as text.
    pub fn check(self, bytes: &[u8]) -> Result<(), String> {
        (self.check)(bytes)
    }

    /// Checks the input `bytes` as the fuzzer does, with the seeded bug of this thread.
    ///
    /// # Errors
    /// Returns the error as text.
    pub fn check_chosen(self, bytes: &[u8]) -> Result<(), String> {
        (self.fuzz)(bytes)
    }

    /// Checks the input `bytes` with the shipped code, and regularly reports what inputs have
    /// reached so far.
    ///
    /// To measure the fuzzer, `BRAID_SEEDED_BUG` names a bug that the code has, and
    /// `BRAID_RANDOM_BYTES` replaces each input by random bytes.
    ///
    /// # Panics
    /// The check fails.
    pub fn run(self, bytes: &[u8]) {
        let inputs = INPUTS.fetch_add(1, Ordering::Relaxed) + 1;
        let Measured { bug, is_random } = *MEASURED.get_or_init(|| Measured::of(self));
        let random;
        let bytes = match is_random {
            true => {
                random = random_input(inputs);
                &random[..]
            }
            false => bytes,
        };
        let check = || self.check_chosen(bytes).err();
        let wrong = bug.map_or_else(check, |bug| bug.with(check));
        if wrong.is_some() || inputs.is_power_of_two() || inputs.is_multiple_of(TELL_EVERY) {
            eprint!("{} inputs of {}\n{}", inputs, self.name, reached());
        }
        if let Some(wrong) = wrong {
            panic!("{}: {wrong}", self.name);
        }
    }

    /// Returns another input, as `seed` chooses: one of four is new, and half have other
    /// transactions; `None` if the fuzzer should change the bytes in its own way.
    ///
    /// The generator makes a hostile block of any bytes. So new inputs find many bugs sooner than
    /// changes of inputs that have found none (docs/TESTING.md).
    #[must_use]
    pub fn mutated(self, input: &[u8], seed: u32) -> Option<Vec<u8>> {
        match seed % 4 {
            0 => Some(random_input(seed.into())),
            1 => None,
            _ => (self.transactions)(input).change(input, seed.into()),
        }
    }

    /// Inserts a transaction of the input `from` into `input`, for one of four seeds; `None` if either
    /// has none.
    #[must_use]
    pub fn crossed(self, input: &[u8], from: &[u8], seed: u32) -> Option<Vec<u8>> {
        // The fuzzer would cross inputs in every other step.
        if !seed.is_multiple_of(4) {
            return None;
        }
        let [ours, others] = [input, from].map(self.transactions);
        ours.cross(input, &others, from, seed.into())
    }

    /// Checks the files, and the files of the folders, that the command line names, and reports what
    /// they have reached. Each is checked as the fuzzer does and then in every way; after
    /// `--as-fuzzer` only as the fuzzer does.
    ///
    /// # Errors
    /// A file or a folder cannot be read.
    ///
    /// # Panics
    /// The check of a file fails.
    pub fn replay(self) -> std::io::Result<()> {
        let mut checks = vec![self.fuzz, self.check];
        for argument in std::env::args_os().skip(1) {
            if argument == "--as-fuzzer" {
                checks.truncate(1);
                continue;
            }
            for path in files(PathBuf::from(argument))? {
                let bytes = std::fs::read(&path)?;
                let begun = Instant::now();
                for check in &checks {
                    if let Err(wrong) = check(&bytes) {
                        panic!("{}: {}: {wrong}", self.name, path.display());
                    }
                }
                let milliseconds = begun.elapsed().as_secs_f64() * 1_000.0;
                println!("{}: right, in {milliseconds:.1} ms", path.display());
            }
        }
        print!("{}", reached());
        Ok(())
    }
}

/// Returns the file `path`, or the files in the folder `path`.
fn files(path: PathBuf) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path]);
    }
    let mut files = std::fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}
