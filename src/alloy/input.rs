//! Conversion of alloy's blocks and recovered transactions into the executor's input.

use crate::evm::{Block, ChainRules, DaoFork, Ommer};
use alloy_consensus::BlockHeader;
use alloy_consensus::transaction::Recovered;
use alloy_eips::eip7840::BlobParams;
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_evm::{EvmEnv, FromRecoveredTx};
use alloy_hardforks::EthereumHardfork;
use revm::context::TxEnv;

/// Converts recovered transactions for [`Block::transactions`]. Input data is shared, not copied.
///
/// `recovered` may yield transactions or references to them (`Recovered::as_recovered_ref`).
pub fn transactions<T>(recovered: impl IntoIterator<Item = Recovered<T>>) -> Vec<TxEnv>
where
    TxEnv: FromRecoveredTx<T>,
{
    recovered.into_iter().map(|tx| environment(&tx)).collect()
}

fn environment<T>(tx: &Recovered<T>) -> TxEnv
where
    TxEnv: FromRecoveredTx<T>,
{
    TxEnv::from_recovered_tx(tx.inner(), tx.signer())
}

impl Block {
    /// Converts alloy's `block` with recovered senders, on the chain `spec` (feature `alloy`): its
    /// environment, transactions, withdrawals, ommers and chain rules. `blobs` are the limits and
    /// the price of blobs at the block's time, from Cancun.
    ///
    /// The header is trusted: the caller must compare its gas used, roots and hashes with the
    /// result. An access list is not part of alloy's block; set it in
    /// [`access_list`](Self::access_list).
    ///
    /// ```
    /// use alloy_consensus::transaction::Recovered;
    /// use alloy_consensus::{Block as AlloyBlock, Header, TxEnvelope};
    /// use alloy_eips::eip7840::BlobParams;
    /// use alloy_evm::eth::spec::EthSpec;
    /// use braid_evm::Block;
    ///
    /// # fn main() {
    /// # let header = Header { number: 22_500_000, timestamp: 1_747_500_000, ..Header::default() };
    /// # let block = AlloyBlock { header, ..AlloyBlock::default() };
    /// let block: AlloyBlock<Recovered<TxEnvelope>> = block;
    /// let block = Block::from_alloy(&block, &EthSpec::mainnet(), 1, Some(BlobParams::prague()));
    /// # assert_eq!(block.cfg.spec, revm::primitives::hardfork::SpecId::PRAGUE);
    /// # }
    /// ```
    #[must_use]
    pub fn from_alloy<T, H: BlockHeader>(
        block: &alloy_consensus::Block<Recovered<T>, H>,
        spec: &impl EthExecutorSpec,
        chain_id: u64,
        blobs: Option<BlobParams>,
    ) -> Self
    where
        TxEnv: FromRecoveredTx<T>,
    {
        let alloy_consensus::Block { header, body } = block;
        let env = EvmEnv::for_eth_block(header, spec, chain_id, blobs);
        let dao = spec.ethereum_fork_activation(EthereumHardfork::Dao);
        let ommer = |ommer: &H| Ommer { beneficiary: ommer.beneficiary(), number: ommer.number() };
        Self {
            cfg: env.cfg_env,
            env: env.block_env,
            transactions: body.transactions.iter().map(environment).collect(),
            parent_hash: header.parent_hash(),
            parent_beacon_block_root: header.parent_beacon_block_root(),
            withdrawals: body.withdrawals.as_ref().map(|list| list.to_vec()),
            ommers: body.ommers.iter().map(ommer).collect(),
            rules: ChainRules {
                deposit_contract: spec.deposit_contract_address(),
                dao_fork: dao.transitions_at_block(header.number()).then(dao_fork),
                max_blob_gas: blobs.map(|blobs| blobs.max_blob_gas_per_block()),
                ..ChainRules::default()
            },
            access_list: None,
            access_list_hint: None,
        }
    }
}

/// Returns the balances that the DAO fork moves; alloy-evm uses the same accounts on every chain.
fn dao_fork() -> DaoFork {
    DaoFork { drained: DAO_HARDFORK_ACCOUNTS.to_vec(), beneficiary: DAO_HARDFORK_BENEFICIARY }
}
