//! Generated blocks: the same specification gives the same bytes on every machine.
//!
//! A workload is a state, written directly, and transactions on it. [`generate`] makes one block of
//! one kind, [`demo`] a short chain of mixed blocks. Both come with the results of their execution:
//! the headers, including the state root, are filled in from a run of the sequential oracle.
//!
//! A new kind of workload is one file with a type that implements `Traffic`: it puts what it needs
//! into the `World` and returns one call after the other. Nonces, fees, signatures and the header
//! are added in one place, `assemble`.

mod apps;
mod artifact;
mod assemble;
mod attack;
mod choice;
mod contention;
#[cfg(test)]
mod contract_tests;
mod demo;
mod dex;
mod erc20;
mod load;
mod mint;
mod mix;
mod odd;
mod pool;
mod preset;
mod producer;
pub mod random;
mod range_pool;
mod seal;
mod shape;
mod state;
#[cfg(test)]
mod tests;
mod token;
mod transfers;
mod wallet;
mod world;

pub use assemble::Placement;
pub use attack::{Attack, Lie, Staged};
pub use choice::{Hot, Spread};
pub use contention::{Contention, Order, ToldBy, When};
pub use demo::{demo, demo_chain};
pub use load::{Load, LoadStream, load};
pub use odd::{Base, Odd};
pub use preset::Preset;
pub use producer::Producer;
pub use shape::Shape;
pub use wallet::Signing;

use crate::{block_file::BlockFile, keys::InvalidKey};
use choice::Picker;
use clap::ValueEnum;
use random::Random;
use std::fmt;
use thiserror::Error;
use world::{Call, Traffic, World};

/// Kind of the transactions in a generated block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Native transfers between accounts without code
    Transfers,
    /// Transfers of ERC-20 tokens
    Erc20,
    /// Swaps on constant-product pools, through a router
    Dex,
    /// Swaps on pools with concentrated liquidity, through a router
    Range,
    /// Mints of a collectible with one counter and one last minter for all
    MintSerial,
    /// Mints of a collectible with one counter for all
    MintCounter,
    /// Mints of a collectible with a counter for each minter
    MintParallel,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transfers => "transfers",
            Self::Erc20 => "erc20",
            Self::Dex => "dex",
            Self::Range => "range",
            Self::MintSerial => "mint-serial",
            Self::MintCounter => "mint-counter",
            Self::MintParallel => "mint-parallel",
        })
    }
}

/// Senders and recipients of the payments in a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties {
    /// Distribution of senders. Senders exist before the block and have sufficient funds.
    pub senders: Spread,
    /// Distribution of recipients. With [`Spread::Distinct`], recipients are new to the state (or
    /// to the token). Swaps have no recipient other than their sender.
    pub recipients: Spread,
    /// Whether recipients are drawn from the same accounts as senders.
    pub shared: bool,
}

impl Parties {
    /// Every transaction has a sender and a recipient of its own.
    pub const DISTINCT: Self =
        Self { senders: Spread::Distinct, recipients: Spread::Distinct, shared: false };
}

/// Everything that a generated block depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadSpec {
    /// Kind of the transactions.
    pub kind: Workload,
    /// Number of transactions.
    pub transactions: u32,
    /// Share of the transactions with a few hot recipients or, in `dex` and `range`, pools.
    pub hot: Hot,
    /// Senders and recipients.
    pub parties: Parties,
    /// Distribution of tokens (`erc20`) or pools (`dex`, `range`).
    pub contracts: Spread,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Whether transactions are signed.
    pub signing: Signing,
    /// Number, time and base fee of the block.
    pub placement: Placement,
}

impl WorkloadSpec {
    /// Specifies a signed block of independent transactions, except that `hot` percent of them
    /// share one recipient, one pool (`dex` and `range`) or one minter. In `erc20`, there is one
    /// token contract.
    #[must_use]
    pub const fn new(kind: Workload, transactions: u32, hot: u8, seed: u64) -> Self {
        let contracts = match kind {
            Workload::Transfers
            | Workload::Erc20
            | Workload::MintSerial
            | Workload::MintCounter
            | Workload::MintParallel => Spread::ONE,
            Workload::Dex | Workload::Range => Spread::Distinct,
        };
        Self {
            kind,
            transactions,
            hot: Hot::one(hot),
            parties: Parties::DISTINCT,
            contracts,
            seed,
            signing: Signing::Signed,
            placement: Placement::DEFAULT,
        }
    }

    /// Removes the signatures, which take most of the time of generating.
    #[must_use]
    pub const fn unsigned(mut self) -> Self {
        self.signing = Signing::Unsigned;
        self
    }

    fn traffic(&self, world: &mut World) -> Result<Box<dyn Traffic>, WorkloadError> {
        let payments = world::Payments::new(self.parties, self.hot);
        let kind = match self.kind {
            Workload::Transfers => return Ok(Box::new(transfers::Transfers::new(payments))),
            Workload::Erc20 => return Ok(Box::new(erc20::Erc20::new(self.contracts, payments)?)),
            Workload::Dex => dex::Kind::Product,
            Workload::Range => dex::Kind::Range,
            mints => {
                let minters = Picker::new(self.parties.senders, self.hot);
                return Ok(Box::new(mint::Mints::new(world, mints, minters)?));
            }
        };
        let traders = Picker::new(self.parties.senders, Hot::NONE);
        let markets = Picker::new(self.contracts, self.hot);
        Ok(Box::new(dex::Dex::new(world, kind, markets, traders)?))
    }
}

/// Why a workload could not be generated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// The hot share exceeds 100 percent.
    #[error("expected a hot share of at most 100 percent, found {percent}")]
    HotShare {
        /// The requested share, in percent.
        percent: u8,
    },
    /// A committed artifact does not match the generator.
    #[error("artifact of contract {contract}: expected {expected}")]
    Artifact {
        /// Name of the contract.
        contract: String,
        /// The expected content.
        expected: String,
    },
    /// No key could be derived for a sender.
    #[error("no key for a sender: {0}")]
    Key(#[from] InvalidKey),
    /// A number of the block does not fit its type.
    #[error("{what} does not fit 64 bits")]
    Overflow {
        /// The number.
        what: &'static str,
    },
    /// The sequential oracle rejected the block.
    #[error("the generated block does not execute: {0}")]
    Execution(String),
}

/// Generates the block that `spec` describes, with the header that its execution gives.
///
/// # Errors
/// Returns an error if the hot share exceeds 100 percent. Any other error means that the generator
/// is at fault.
///
/// ```
/// use braid_blocks::workload::{Workload, WorkloadSpec, generate};
///
/// let spec = WorkloadSpec::new(Workload::Transfers, 3, 0, 1);
/// let file = generate(&spec)?;
/// assert_eq!(file.expected.gas_used, Some(63_000));
/// # Ok::<(), braid_blocks::workload::WorkloadError>(())
/// ```
pub fn generate(spec: &WorkloadSpec) -> Result<BlockFile, WorkloadError> {
    let mut file = unsealed(spec)?;
    seal::seal(&mut file)?;
    Ok(file)
}

/// Same, without the results of the execution: much faster for large blocks.
///
/// # Errors
/// As [`generate`].
pub fn unsealed(spec: &WorkloadSpec) -> Result<BlockFile, WorkloadError> {
    if spec.hot.percent > 100 {
        return Err(WorkloadError::HotShare { percent: spec.hot.percent });
    }
    let note = format!(
        "workload {}, {} transactions, {} percent hot, seed {}",
        spec.kind, spec.transactions, spec.hot.percent, spec.seed
    );
    draft(spec.seed, spec.signing, &spec.placement, note, |world| {
        let mut traffic = spec.traffic(world)?;
        calls(traffic.as_mut(), world, spec.transactions)
    })
}

/// Returns an unsealed block of the calls that `make` makes on a new world.
fn draft(
    seed: u64,
    signing: Signing,
    placement: &Placement,
    note: String,
    make: impl FnOnce(&mut World) -> Result<Vec<Call>, WorkloadError>,
) -> Result<BlockFile, WorkloadError> {
    let mut world = World::new(seed, signing, placement.timestamp);
    let calls = make(&mut world)?;
    let state = std::mem::take(&mut world.state);
    let mut assembly = assemble::Assembly::new(seed);
    let mut file = assembly.block(&mut world.wallets, state, &calls, placement)?;
    file.meta.notes.push(note);
    Ok(file)
}

/// Returns the first `count` calls of `traffic`.
fn calls(
    traffic: &mut dyn Traffic,
    world: &mut World,
    count: u32,
) -> Result<Vec<Call>, WorkloadError> {
    let mut random = Random::new(world.seed, "calls");
    (0..count).map(|_| traffic.call(world, &mut random)).collect()
}
