//! The node's receipts.

use super::{Client, FetchError, block::Found};
use alloy_primitives::{Log, U64};
use braid_terminal::Transport;
use serde::Deserialize;

/// The fields of a node's receipt that an execution determines.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeReceipt {
    /// Absent before Byzantium.
    #[serde(default)]
    status: Option<U64>,
    gas_used: U64,
    pub(super) logs: Vec<Log>,
}

impl NodeReceipt {
    /// Returns whether the transaction succeeded, if the receipt has a status.
    pub(super) fn success(&self) -> Option<bool> {
        self.status.map(|status| !status.is_zero())
    }

    /// Returns the gas used by the transaction.
    pub(super) fn gas_used(&self) -> u64 {
        self.gas_used.to()
    }
}

/// Requests all receipts of the block: at once or, if the node does not support that, one by one.
pub(super) fn of_block<T: Transport>(
    client: &Client<T>,
    found: &Found,
) -> Result<Vec<NodeReceipt>, FetchError> {
    match client.call("eth_getBlockReceipts", (found.tag(),)) {
        Ok(receipts) => return Ok(receipts),
        Err(error) if error.is_not_served() => {}
        Err(error) => return Err(error.into()),
    }
    let hashes = found.block.transactions.hashes();
    hashes.map(|hash| Ok(client.call("eth_getTransactionReceipt", (hash,))?)).collect()
}
