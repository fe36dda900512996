//! Receipts in responses. Before Byzantium, a receipt has the state root after its transaction,
//! which the store does not keep: it is computed again.

use crate::{error::RpcError, replay, shared::Shared, stored::StoredBlock};
use alloy_consensus::{Eip658Value, ReceiptEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::TransactionReceipt;
use braid_chain::Snapshot;

/// Returns the receipts of all transactions in `block`.
pub(crate) fn all<S: Snapshot>(
    shared: &Shared<S>,
    block: &StoredBlock,
) -> Result<Vec<TransactionReceipt>, RpcError> {
    let roots = replay::roots(shared, block)?;
    let each = 0..block.transactions.len();
    let each = each.filter_map(|index| {
        let receipt = block.receipt(index).transpose()?;
        Some(receipt.map(|receipt| with_root(receipt, root(roots.as_ref(), index))))
    });
    each.collect()
}

/// Returns the receipt of the transaction with this index.
pub(crate) fn one<S: Snapshot>(
    shared: &Shared<S>,
    block: &StoredBlock,
    index: usize,
) -> Result<Option<TransactionReceipt>, RpcError> {
    let Some(receipt) = block.receipt(index)? else { return Ok(None) };
    let roots = replay::roots(shared, block)?;
    Ok(Some(with_root(receipt, root(roots.as_ref(), index))))
}

/// Returns the receipts of all transactions as they are hashed into the block's receipts root.
pub(crate) fn raw<S: Snapshot>(
    shared: &Shared<S>,
    block: &StoredBlock,
) -> Result<Vec<Bytes>, RpcError> {
    let roots = replay::roots(shared, block)?;
    let receipts = block.receipts()?.iter().enumerate().map(|(index, receipt)| {
        let mut receipt: ReceiptEnvelope = receipt.clone().into();
        set_root(&mut receipt, root(roots.as_ref(), index));
        receipt.encoded_2718().into()
    });
    Ok(receipts.collect())
}

fn root(roots: Option<&Vec<B256>>, index: usize) -> Option<B256> {
    roots.and_then(|roots| roots.get(index)).copied()
}

fn with_root(mut receipt: TransactionReceipt, root: Option<B256>) -> TransactionReceipt {
    set_root(&mut receipt.inner, root);
    receipt
}

/// Puts a state root in place of the status. Only legacy receipts can have one.
fn set_root<T>(receipt: &mut ReceiptEnvelope<T>, root: Option<B256>) {
    if let (ReceiptEnvelope::Legacy(legacy), Some(root)) = (receipt, root) {
        legacy.receipt.status = Eip658Value::PostState(root);
    }
}
