//! What sequential execution makes of a block, and whether Braid makes the same of it.

use alloy_eips::eip7685::Requests;
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use braid_cli::block;
use braid_cli::compare::{Differences, braid};
use braid_cli::sequential::{self, Position, SequentialError, SequentialOutput};
use braid_evm::{Block, BlockError, BlockOutput, ChainRules, DaoFork, Mode, Ommer};
use core::fmt::{Debug, Display};
use revm::DatabaseRef;

/// Differences that are described.
const DESCRIBED: usize = 8;

/// What sequential execution of a block came to.
#[derive(Debug)]
pub struct Expected<E> {
    result: Result<SequentialOutput, SequentialError<E>>,
    /// What the transactions before the failing one leave, if the oracle can tell.
    prefix: Option<Prefix>,
}

#[derive(Debug)]
struct Prefix {
    output: SequentialOutput,
    /// The bundle may differ by what system calls left.
    with_bundle: bool,
}

impl<E: Display + Debug> Expected<E> {
    /// Executes `block` one transaction after the other.
    pub fn new<D>(block: &Block, mode: Mode, database: &D) -> Self
    where
        D: DatabaseRef<Error = E>,
    {
        let run = |block: &Block| match mode {
            Mode::Validate => sequential::execute(&to_oracle(block), database),
            Mode::Build => sequential::build(&to_oracle(block), database),
        };
        let result = run(block);
        let prefix = match &result {
            Ok(_) => None,
            Err(error) => {
                let cut = prefix_of(block, error.at);
                let with_bundle = cut.rules.system_calls || !block.rules.system_calls;
                run(&cut).ok().map(|output| Prefix { output, with_bundle })
            }
        };
        Self { result, prefix }
    }

    /// The sequential output, if the block is valid.
    #[must_use]
    pub fn output(&self) -> Option<&SequentialOutput> {
        self.result.as_ref().ok()
    }

    /// The sequential error, if there is one.
    #[must_use]
    pub fn error(&self) -> Option<&SequentialError<E>> {
        self.result.as_ref().err()
    }

    /// The sequential output or error.
    ///
    /// # Errors
    /// The sequential error, if there is one.
    pub fn into_result(self) -> Result<SequentialOutput, SequentialError<E>> {
        self.result
    }

    /// Compares what Braid made of the block: all of the output, or the error with the output of
    /// the transactions before it.
    ///
    /// # Errors
    /// The differences, in words.
    pub fn compare(&self, found: &Result<BlockOutput, BlockError<E>>) -> Result<(), String> {
        match (&self.result, found) {
            (Ok(expected), Ok(found)) => compare_outputs(expected, found, true),
            (Err(expected), Err(found)) => {
                none(&braid::errors(expected, found))?;
                let Some(prefix) = &self.prefix else { return Ok(()) };
                let expected =
                    SequentialOutput { requests: Requests::default(), ..prefix.output.clone() };
                compare_outputs(&expected, &found.committed, prefix.with_bundle)
                    .map_err(|differences| format!("committed prefix: {differences}"))
            }
            (Ok(_), Err(found)) => Err(format!("expected success, found an error: {found}")),
            (Err(expected), Ok(_)) => Err(format!("expected the error {expected}, found success")),
        }
    }
}

/// The block up to `at`, without what follows its transactions.
fn prefix_of(block: &Block, at: Position) -> Block {
    let mut cut = block.clone();
    let (count, system_calls) = match at {
        Position::PreBlock => (0, false),
        Position::Transaction(index) => (index, block.rules.system_calls),
        Position::PostBlock => (block.transactions.len(), false),
    };
    cut.transactions.truncate(count);
    cut.withdrawals = None;
    cut.ommers.clear();
    cut.rules =
        ChainRules { deposit_contract: None, dao_fork: None, block_reward: Some(0), system_calls };
    cut
}

fn compare_outputs(
    expected: &SequentialOutput,
    found: &BlockOutput,
    with_bundle: bool,
) -> Result<(), String> {
    if with_bundle {
        return none(&braid::outputs(expected, found, DESCRIBED));
    }
    let found = BlockOutput { bundle: expected.bundle.clone(), ..found.clone() };
    none(&braid::outputs(expected, &found, DESCRIBED))
}

fn none(differences: &Differences) -> Result<(), String> {
    if differences.is_empty() { Ok(()) } else { Err(differences.to_string()) }
}

/// The block as the sequential oracle takes it.
#[must_use]
pub fn to_oracle(block: &Block) -> block::Block {
    let ommer =
        |ommer: &Ommer| block::Ommer { beneficiary: ommer.beneficiary, number: ommer.number };
    block::Block {
        cfg: block.cfg.clone(),
        env: block.env.clone(),
        transactions: block.transactions.clone(),
        parent_hash: block.parent_hash,
        parent_beacon_block_root: block.parent_beacon_block_root,
        withdrawals: block.withdrawals.clone(),
        ommers: block.ommers.iter().map(ommer).collect(),
        rules: block::ChainRules {
            deposit_contract: block.rules.deposit_contract,
            dao_fork: block.rules.dao_fork.is_some(),
            block_reward: block.rules.block_reward,
            system_calls: block.rules.system_calls,
        },
    }
}

/// The DAO fork as mainnet carried it out, and as the oracle does.
#[must_use]
pub fn mainnet_dao_fork() -> DaoFork {
    DaoFork { drained: DAO_HARDFORK_ACCOUNTS.to_vec(), beneficiary: DAO_HARDFORK_BENEFICIARY }
}
