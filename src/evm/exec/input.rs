//! The input of a block's execution.

use alloy_eip7928::bal::Bal as AccessList;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256};
use revm::context::{BlockEnv, Cfg, CfgEnv, TxEnv};
use std::sync::Arc;

/// Everything that executing a block needs, apart from the state before it.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Fork, gas parameters and chain id. Set the fork with [`CfgEnv::new_with_spec`] or
    /// [`CfgEnv::set_spec_and_mainnet_gas_params`]: fork and gas parameters are separate fields.
    pub cfg: CfgEnv,
    /// Block number, timestamp, beneficiary, gas limit, base fee and so on.
    pub env: BlockEnv,
    /// The transactions, in block order, with `caller` and `tx_type` set.
    pub transactions: Vec<TxEnv>,
    /// Hash of the parent block, for EIP-2935.
    pub parent_hash: B256,
    /// Root of the parent beacon block, for EIP-4788. Required from Cancun on.
    pub parent_beacon_block_root: Option<B256>,
    /// Withdrawals (EIP-4895), credited after the transactions from Shanghai on.
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// Ommers, which earn a reward before the merge.
    pub ommers: Vec<Ommer>,
    /// Rules that differ between chains of the same fork.
    pub rules: ChainRules,
    /// The block's access list (EIP-7928), on any fork. Execution fails if the list does not match
    /// the block. From Cancun on, transactions take the state below them from the list, so all of
    /// them can run at once, and each is compared with the list. Ignored by
    /// [`build`](crate::BlockRequest::build), because a block under construction has no list yet.
    pub access_list: Option<Arc<AccessList>>,
    /// An untrusted access list, for example from a simulation. Transactions that write the same
    /// location according to the list wait for each other. The list never affects a result and is
    /// never compared with the execution; a wrong list only costs time. Index 1 is the first of
    /// [`transactions`](Self::transactions), counting skipped transactions, or of the transactions
    /// pulled so far if the block is built from a pool. Only speculative execution uses it
    /// ([`Strategy::Speculative`](crate::Strategy::Speculative)); the other strategies ignore it.
    /// It has no effect if [`access_list`](Self::access_list) is set.
    pub access_list_hint: Option<Arc<AccessList>>,
}

/// An ommer (uncle) of a block before the merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ommer {
    /// Recipient of its reward.
    pub beneficiary: Address,
    /// Its block number.
    pub number: u64,
}

/// Rules that differ between chains of the same fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainRules {
    /// The deposit contract. Its logs become requests (EIP-6110).
    pub deposit_contract: Option<Address>,
    /// The irregular state change of the DAO fork (EIP-779), if this block applies it.
    pub dao_fork: Option<DaoFork>,
    /// Block reward in wei; if `None`, the reward of the fork (5, 3, 2 or 0 ether).
    pub block_reward: Option<u128>,
    /// Whether the system contracts are called before and after the transactions (EIP-2935,
    /// EIP-4788, EIP-7002, EIP-7251, EIP-8282), each from its fork on.
    pub system_calls: bool,
    /// Whether the request contracts are called after the transactions (EIP-7002, EIP-7251,
    /// EIP-8282). If so, a block is invalid when one of them has no code; private chains without
    /// these contracts set `false`. Has no effect without [`system_calls`](Self::system_calls).
    pub requests: bool,
    /// Maximum blob gas of the block (EIP-4844). A transaction that exceeds the remainder is
    /// rejected. `None` leaves the check to the caller, as alloy-evm's `EthBlockExecutor` does.
    pub max_blob_gas: Option<u64>,
    /// Whether transactions declare their accesses, as [`Declaration::of`] reads them from the
    /// transaction. A transaction that accesses or changes anything else halts: it uses all its
    /// gas, its nonce is raised, its fee is paid, its authorizations (EIP-7702) stay applied, and
    /// it has no other effect. [`BlockOutput::undeclared`] lists the undeclared accesses. Not
    /// supported with a custom EVM, which has its own rules.
    ///
    /// [`Declaration::of`]: crate::Declaration::of
    /// [`BlockOutput::undeclared`]: crate::BlockOutput::undeclared
    pub declared_accesses: bool,
}

impl Default for ChainRules {
    fn default() -> Self {
        Self {
            deposit_contract: None,
            dao_fork: None,
            block_reward: None,
            system_calls: true,
            requests: true,
            max_blob_gas: None,
            declared_accesses: false,
        }
    }
}

/// Balances moved by the DAO fork. `alloy_evm::eth::dao_fork` has mainnet's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaoFork {
    /// Accounts that lose their whole balance.
    pub drained: Vec<Address>,
    /// The account that receives these balances.
    pub beneficiary: Address,
}

/// Returns the regular gas that a transaction can use: its gas limit, capped by EIP-7825.
pub(in crate::evm) fn regular_gas_limit(block: &Block, gas_limit: u64) -> u64 {
    gas_limit.min(block.cfg.tx_gas_limit_cap())
}
