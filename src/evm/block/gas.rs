//! Gas accounting of a block.

use crate::evm::exec::input::Block;
use revm::context::TxEnv;
use revm::context::result::ResultGas;
use revm::context_interface::transaction::TransactionType;

/// Gas of the committed prefix.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::evm) struct BlockGas {
    /// Gas used after refunds, as in the receipts' cumulative gas.
    pub(in crate::evm) cumulative: u64,
    pub(in crate::evm) regular: u64,
    pub(in crate::evm) state: u64,
    pub(in crate::evm) blob: u64,
}

impl BlockGas {
    /// Gas of `tx`, whose execution used `gas`. Without `tx`, blob gas is not counted.
    pub(in crate::evm) fn of(tx: Option<&TxEnv>, gas: &ResultGas) -> Self {
        Self {
            cumulative: gas.tx_gas_used(),
            regular: gas.block_regular_gas_used(),
            state: gas.block_state_gas_used(),
            blob: tx.map_or(0, blob_gas),
        }
    }

    pub(in crate::evm) const fn plus(self, more: Self) -> Self {
        Self {
            cumulative: self.cumulative.saturating_add(more.cumulative),
            regular: self.regular.saturating_add(more.regular),
            state: self.state.saturating_add(more.state),
            blob: self.blob.saturating_add(more.blob),
        }
    }

    /// Gas used, as in the header (EIP-8037 from Amsterdam).
    pub(in crate::evm) fn used(&self, block: &Block) -> u64 {
        if block.cfg.enable_amsterdam_eip8037 {
            self.regular.max(self.state)
        } else {
            self.cumulative
        }
    }

    /// Gas that counts against the block's limit when the next transaction is admitted.
    pub(in crate::evm) fn admitted(&self, block: &Block) -> u64 {
        if block.cfg.enable_amsterdam_eip8037 { self.regular } else { self.cumulative }
    }
}

/// Returns the blob gas of a transaction. Blob hashes are ignored unless it is an EIP-4844
/// transaction.
pub(in crate::evm) fn blob_gas(tx: &TxEnv) -> u64 {
    if tx.tx_type != TransactionType::Eip4844 as u8 {
        return 0;
    }
    (tx.blob_hashes.len() as u64).saturating_mul(alloy_eips::eip4844::DATA_GAS_PER_BLOB)
}
