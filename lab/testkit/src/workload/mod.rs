//! Generated blocks: the same specification gives the same bytes, on every machine.
//!
//! A workload is a state, written directly, and transactions on it. [`generate`] makes one block
//! of one kind, [`demo`] a short chain of mixed blocks. Either comes with what executing it gives:
//! the headers are filled in from a run of the sequential oracle, state root included.
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

use crate::block_file::BlockFile;
use choice::Picker;
use clap::ValueEnum;
use random::Random;
use std::fmt;
use thiserror::Error;
use world::{Call, Traffic, World};

/// What the transactions of a generated block do.
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

/// The two sides of the payments in a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties {
    /// Who sends. Senders exist before the block and can pay for all that they send.
    pub senders: Spread,
    /// Who receives; a recipient of [`Spread::Distinct`] is new to the state (or to the token).
    /// Swaps have no recipient other than their sender.
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
    /// What the transactions do.
    pub kind: Workload,
    /// How many transactions there are.
    pub transactions: u32,
    /// A share of them that goes to a few hot recipients or, in `dex` and `range`, pools.
    pub hot: Hot,
    /// Who pays whom.
    pub parties: Parties,
    /// How many tokens (`erc20`) or pools (`dex`, `range`) there are.
    pub contracts: Spread,
    /// Everything that is random follows from this number.
    pub seed: u64,
    /// Whether senders sign.
    pub signing: Signing,
    /// Number, time and base fee of the block.
    pub placement: Placement,
}

impl WorkloadSpec {
    /// A signed block of independent transactions, except that `hot` percent of them go to one
    /// recipient or, in `dex` and `range`, to one pool, or are one minter's. All tokens of `erc20` are of one contract.
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

    /// The same block without signatures, which take most of the time that generating takes.
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
    /// A share above the whole.
    #[error("expected a hot share of at most 100 percent, found {percent}")]
    HotShare {
        /// The share asked for, in percent.
        percent: u8,
    },
    /// A committed artifact does not fit the generator.
    #[error("artifact of contract {contract}: expected {expected}")]
    Artifact {
        /// Name of the contract.
        contract: String,
        /// What it should have.
        expected: String,
    },
    /// No key could be derived for a sender.
    #[error("no key for a sender: {0}")]
    Key(#[from] secp256k1::Error),
    /// A number of the block does not fit its type.
    #[error("{what} does not fit 64 bits")]
    Overflow {
        /// The number.
        what: &'static str,
    },
    /// The sequential oracle did not accept the block.
    #[error("the generated block does not execute: {0}")]
    Execution(String),
}

/// Generates the block that `spec` describes, with the header that executing it gives.
///
/// # Errors
/// A hot share above 100 percent. Anything else means that the generator itself is at fault.
///
/// ```
/// use braid_testkit::workload::{Workload, WorkloadSpec, generate};
///
/// let spec = WorkloadSpec::new(Workload::Transfers, 3, 0, 1);
/// let file = generate(&spec)?;
/// assert_eq!(file.expected.gas_used, Some(63_000));
/// # Ok::<(), braid_testkit::workload::WorkloadError>(())
/// ```
pub fn generate(spec: &WorkloadSpec) -> Result<BlockFile, WorkloadError> {
    let mut file = unsealed(spec)?;
    seal::seal(&mut file)?;
    Ok(file)
}

/// The same block, but nothing in it tells what executing it gives: much faster for large blocks.
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

/// An unsealed block of the calls that `make` makes on a new world.
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

/// The first `count` calls of `traffic`.
fn calls(
    traffic: &mut dyn Traffic,
    world: &mut World,
    count: u32,
) -> Result<Vec<Call>, WorkloadError> {
    let mut random = Random::new(world.seed, "calls");
    (0..count).map(|_| traffic.call(world, &mut random)).collect()
}
