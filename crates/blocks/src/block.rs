//! The block as the sequential oracle takes it.
//!
//! It has the same content as [`braid_evm::Block`], from which it is converted, but is a separate
//! type so that the oracle shares no code with the executor that it checks.

use alloy_eips::eip4895::Withdrawal;
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::{Address, B256};
use revm::context::{BlockEnv, CfgEnv, TxEnv};

/// Everything that executing a block needs besides its database.
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
    /// Ommers that receive a reward.
    pub ommers: Vec<Ommer>,
    /// Rules that do not follow from the fork.
    pub rules: ChainRules,
}

/// An ommer that receives a reward.
#[derive(Clone, Debug)]
pub struct Ommer {
    /// Account that receives the reward.
    pub beneficiary: Address,
    /// Number of the ommer block.
    pub number: u64,
}

/// Rules of a block that do not follow from its fork.
#[derive(Clone, Debug)]
pub struct ChainRules {
    /// Contract whose logs are EIP-6110 deposits.
    pub deposit_contract: Option<Address>,
    /// Whether this block applies the DAO fork, as mainnet did.
    pub dao_fork: bool,
    /// Block reward in wei; `None` for the fork's.
    pub block_reward: Option<u128>,
    /// Whether system contracts are called before and after the transactions.
    pub system_calls: bool,
    /// Whether the contracts that collect requests are among them.
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

/// Any DAO fork of `block` is assumed to be mainnet's.
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

/// Returns mainnet's DAO fork, which the oracle applies too.
#[must_use]
pub fn mainnet_dao_fork() -> braid_evm::DaoFork {
    braid_evm::DaoFork {
        drained: DAO_HARDFORK_ACCOUNTS.to_vec(),
        beneficiary: DAO_HARDFORK_BENEFICIARY,
    }
}
