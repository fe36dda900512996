//! The node's receipts.

use super::{Client, FetchError, Transport, block::Found};
use alloy_primitives::{Log, U64};
use serde::Deserialize;

/// What a node's receipt says of the execution.
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
    /// Whether the transaction succeeded, if the receipt says so.
    pub(super) fn success(&self) -> Option<bool> {
        self.status.map(|status| !status.is_zero())
    }

    /// Gas that the transaction used.
    pub(super) fn gas_used(&self) -> u64 {
        self.gas_used.to()
    }
}

/// Asks for all receipts of the block: at once, or one by one if the node cannot do that.
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
