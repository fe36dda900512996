//! The input: the part of a block that its execution needs.

use alloy_eip7928::bal::Bal as AccessList;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256};
use revm::context::{BlockEnv, Cfg, CfgEnv, TxEnv};
use std::sync::Arc;

/// Everything that executing a block takes, beside the state before it.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Fork, gas parameters and chain id. Set the fork with [`CfgEnv::new_with_spec`] or
    /// [`CfgEnv::set_spec_and_mainnet_gas_params`]: fork and gas parameters are separate fields.
    pub cfg: CfgEnv,
    /// Number, time, beneficiary, gas limit, base fee and so on.
    pub env: BlockEnv,
    /// The transactions, in order, with `caller` and `tx_type` set.
    pub transactions: Vec<TxEnv>,
    /// Hash of the parent block, for EIP-2935.
    pub parent_hash: B256,
    /// Root of the parent beacon block, for EIP-4788. Needed from Cancun.
    pub parent_beacon_block_root: Option<B256>,
    /// Withdrawals (EIP-4895), applied after the transactions from Shanghai.
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// Ommers, for their rewards before the merge.
    pub ommers: Vec<Ommer>,
    /// What differs between chains of the same fork.
    pub rules: ChainRules,
    /// The access list that the block comes with (EIP-7928), on any fork: execution ends with an
    /// error if it is not that of the block. From Cancun on transactions run on what the list says
    /// of the state below them, all at the same time, and are compared with it. A builder's block
    /// has none yet: [`Mode::Build`](crate::Mode::Build) does not look at it.
    pub access_list: Option<Arc<AccessList>>,
    /// A list that may be wrong, as one that a simulation has made. It tells which transactions
    /// probably write the same, and those wait for each other. No result depends on it, and nothing
    /// is compared with it: a list that lies costs time. Index 1 is the first of
    /// [`transactions`](Self::transactions), skipped ones counted, and of what was
    /// pulled if the block is built from a pool. It has an effect only where transactions run
    /// speculatively ([`Strategy::Speculative`](crate::Strategy::Speculative)): neighbours, groups
    /// and transactions in order do not ask for it. Of no use beside
    /// [`access_list`](Self::access_list).
    pub access_list_hint: Option<Arc<AccessList>>,
}

/// An ommer (uncle) of a block before the merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ommer {
    /// Receiver of its reward.
    pub beneficiary: Address,
    /// Its block number.
    pub number: u64,
}

/// What differs between chains of the same fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainRules {
    /// The deposit contract, whose logs become requests (EIP-6110).
    pub deposit_contract: Option<Address>,
    /// The irregular state change of the DAO fork (EIP-779), if this block carries it out.
    pub dao_fork: Option<DaoFork>,
    /// Wei for the producer of a block; by fork if `None` (5, 3, 2 and 0 ether).
    pub block_reward: Option<u128>,
    /// Whether the system contracts are called before and after the transactions (EIP-2935,
    /// EIP-4788, EIP-7002, EIP-7251, EIP-8282), each where the fork has it.
    pub system_calls: bool,
    /// Whether the contracts for requests are called after the transactions (EIP-7002, EIP-7251,
    /// EIP-8282): a block is invalid then if one of them has no code. `false` is for private chains
    /// without them. Of no effect without [`system_calls`](Self::system_calls).
    pub requests: bool,
    /// Blob gas that the block has room for (EIP-4844): a transaction that does not fit is
    /// rejected. `None` leaves the check to the caller, as alloy-evm's `EthBlockExecutor` does.
    pub max_blob_gas: Option<u64>,
    /// Whether transactions declare what they access, as [`Declaration::of`] reads it from them.
    /// One that accesses or changes anything else halts: all its gas is used, its nonce is raised
    /// and its fee is paid, delegations that it has signatures for stay, and it has no other
    /// effect. [`BlockOutput::undeclared`] says what it was. Not for an EVM of the caller's own,
    /// which makes its own rules.
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

/// Balances that the DAO fork moved. `alloy_evm::eth::dao_fork` has mainnet's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaoFork {
    /// Accounts that lose their whole balance.
    pub drained: Vec<Address>,
    /// The account that gets it.
    pub beneficiary: Address,
}

/// Gas that a transaction can take from the block: its limit, up to the cap of EIP-7825.
pub(in crate::evm) fn regular_gas_limit(block: &Block, gas_limit: u64) -> u64 {
    gas_limit.min(block.cfg.tx_gas_limit_cap())
}
