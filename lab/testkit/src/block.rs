//! The block as the sequential oracle takes it.
//!
//! It says the same as [`braid_evm::Block`], into which it converts, and is a type of its own so
//! that the oracle uses nothing of what it is there to check.

use alloy_eips::eip4895::Withdrawal;
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::{Address, B256};
use revm::context::{BlockEnv, CfgEnv, TxEnv};

/// Everything that executing a block needs beside its database.
#[derive(Clone, Debug)]
pub struct Block {
    /// Fork, chain id and limits.
    pub cfg: CfgEnv,
    /// The block's header as the EVM sees it.
    pub env: BlockEnv,
    /// Transactions in order.
    pub transactions: Vec<TxEnv>,
    /// Hash of the parent block.
    pub parent_hash: B256,
    /// EIP-4788 root of the parent beacon block.
    pub parent_beacon_block_root: Option<B256>,
    /// Withdrawals, from Shanghai on.
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// Ommers that are paid a reward.
    pub ommers: Vec<Ommer>,
    /// Rules that the fork does not decide.
    pub rules: ChainRules,
}

/// An ommer that is paid a reward.
#[derive(Clone, Debug)]
pub struct Ommer {
    /// Account that is paid.
    pub beneficiary: Address,
    /// Number of the ommer block.
    pub number: u64,
}

/// Rules of a block that its fork does not decide.
#[derive(Clone, Debug)]
pub struct ChainRules {
    /// Contract whose logs are EIP-6110 deposits.
    pub deposit_contract: Option<Address>,
    /// Whether this block carries out the DAO fork, as mainnet did.
    pub dao_fork: bool,
    /// Block reward in wei; `None` for that of the fork.
    pub block_reward: Option<u128>,
    /// Whether system contracts are called before and after the transactions.
    pub system_calls: bool,
    /// Whether those that collect requests are among them.
    pub requests: bool,
}

impl Default for ChainRules {
    fn default() -> Self {
        Self {
            deposit_contract: None,
            dao_fork: false,
            block_reward: None,
            system_calls: true,
            requests: true,
        }
    }
}

impl From<&Block> for braid_evm::Block {
    fn from(block: &Block) -> Self {
        let ommer = |ommer: &Ommer| braid_evm::Ommer {
            beneficiary: ommer.beneficiary,
            number: ommer.number,
        };
        Self {
            cfg: block.cfg.clone(),
            env: block.env.clone(),
            transactions: block.transactions.clone(),
            parent_hash: block.parent_hash,
            parent_beacon_block_root: block.parent_beacon_block_root,
            withdrawals: block.withdrawals.clone(),
            ommers: block.ommers.iter().map(ommer).collect(),
            rules: braid_evm::ChainRules {
                deposit_contract: block.rules.deposit_contract,
                dao_fork: block.rules.dao_fork.then(mainnet_dao_fork),
                block_reward: block.rules.block_reward,
                system_calls: block.rules.system_calls,
                requests: block.rules.requests,
                max_blob_gas: None,
                declared_accesses: false,
            },
            access_list: None,
            access_list_hint: None,
        }
    }
}

/// The DAO fork of `block`, if it has one, is taken for mainnet's.
impl From<&braid_evm::Block> for Block {
    fn from(block: &braid_evm::Block) -> Self {
        let ommer = |ommer: &braid_evm::Ommer| Ommer {
            beneficiary: ommer.beneficiary,
            number: ommer.number,
        };
        Self {
            cfg: block.cfg.clone(),
            env: block.env.clone(),
            transactions: block.transactions.clone(),
            parent_hash: block.parent_hash,
            parent_beacon_block_root: block.parent_beacon_block_root,
            withdrawals: block.withdrawals.clone(),
            ommers: block.ommers.iter().map(ommer).collect(),
            rules: ChainRules {
                deposit_contract: block.rules.deposit_contract,
                dao_fork: block.rules.dao_fork.is_some(),
                block_reward: block.rules.block_reward,
                system_calls: block.rules.system_calls,
                requests: block.rules.requests,
            },
        }
    }
}

/// The DAO fork as mainnet carried it out, and as the oracle does.
#[must_use]
pub fn mainnet_dao_fork() -> braid_evm::DaoFork {
    braid_evm::DaoFork {
        drained: DAO_HARDFORK_ACCOUNTS.to_vec(),
        beneficiary: DAO_HARDFORK_BENEFICIARY,
    }
}
