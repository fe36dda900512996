//! The output: `result` and body.

use super::error::Failure;
use super::fields::{Fields, wrong};
use super::{Prepared, Ran, Transition, rejection};
use alloy_consensus::{
    Eip658Value, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction, TxEnvelope, TxReceipt,
    TxType,
    proofs::{calculate_receipt_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, TxKind, keccak256};
use braid_evm::{Block, Outcome};
use revm::primitives::hardfork::SpecId;
use serde_json::{Map, Value, json};

/// An included transaction with its receipt.
struct Included<'a> {
    envelope: &'a TxEnvelope,
    sender: Address,
    gas_used: u64,
    receipt: ReceiptEnvelope,
}

/// Assembles the output.
pub(super) fn transition(prepared: Prepared<'_>, block: &Block, ran: Ran) -> Transition {
    let mut rejected: Vec<(usize, String)> = Vec::new();
    for (index, read) in prepared.transactions.iter().enumerate() {
        if let Err(why) = read {
            rejected.push((index, why.clone()));
        }
    }
    let mut included = Vec::new();
    let mut receipts = ran.output.receipts.iter();
    let mut roots = ran.roots.iter().copied();
    let outcomes = block.transactions.iter().zip(&ran.output.outcomes);
    let mut before = 0;
    for ((index, (envelope, sender)), (tx, outcome)) in prepared.readable().zip(outcomes) {
        if let Outcome::Skipped(reason) = outcome {
            rejected.push((index, rejection::describe(tx, reason)));
            continue;
        }
        let Some(receipt) = receipts.next() else { continue };
        let gas_used = receipt.cumulative_gas_used.saturating_sub(before);
        before = receipt.cumulative_gas_used;
        let status = match roots.next() {
            Some(root) => Eip658Value::PostState(root),
            None => Eip658Value::Eip658(receipt.success),
        };
        let (cumulative_gas_used, logs) = (receipt.cumulative_gas_used, receipt.logs.clone());
        let receipt = Receipt { status, cumulative_gas_used, logs }.with_bloom();
        let receipt = typed(envelope.tx_type(), receipt);
        included.push(Included { envelope, sender: *sender, gas_used, receipt });
    }
    rejected.sort_by_key(|(index, _)| *index);
    let envelopes: Vec<&TxEnvelope> = included.iter().map(|it| it.envelope).collect();
    let mut body = Vec::new();
    alloy_rlp::encode_list::<&TxEnvelope, TxEnvelope>(&envelopes, &mut body);
    let result = result(&prepared, &ran, &included, &rejected);
    Transition { alloc: prepared.alloc, result, body: body.into() }
}

fn result(
    prepared: &Prepared<'_>,
    ran: &Ran,
    included: &[Included<'_>],
    rejected: &[(usize, String)],
) -> Value {
    let (derived, output) = (&prepared.derived, &ran.output);
    let receipts: Vec<&ReceiptEnvelope> = included.iter().map(|it| &it.receipt).collect();
    let envelopes: Vec<&TxEnvelope> = included.iter().map(|it| it.envelope).collect();
    let bloom = receipts.iter().fold(Bloom::ZERO, |all, receipt| all | *receipt.logs_bloom());
    let logs: Vec<&Log> = output.receipts.iter().flat_map(|receipt| &receipt.logs).collect();
    let mut encoded = Vec::new();
    alloy_rlp::encode_list::<&Log, Log>(&logs, &mut encoded);
    let mut result = Map::new();
    let mut put = |name: &str, value: Value| result.insert(name.to_owned(), value);
    put("stateRoot", json!(prepared.alloc.root()));
    put("txRoot", json!(calculate_transaction_root(&envelopes)));
    put("receiptsRoot", json!(calculate_receipt_root(&receipts)));
    put("logsHash", json!(keccak256(&encoded)));
    put("logsBloom", json!(bloom));
    put("gasUsed", hex(output.gas_used));
    put("currentDifficulty", derived.difficulty.map_or(Value::Null, |it| json!(it)));
    put("currentBaseFee", derived.base_fee.map_or(Value::Null, hex));
    if let Some(withdrawals) = &derived.withdrawals {
        put("withdrawalsRoot", json!(calculate_withdrawals_root(withdrawals)));
    }
    if let Some(excess) = derived.excess_blob_gas {
        put("currentExcessBlobGas", hex(excess));
        put("blobGasUsed", hex(output.blob_gas_used));
    }
    let error = |(index, error): &(usize, String)| json!({"index": index, "error": error});
    put("rejected", rejected.iter().map(error).collect());
    let receipts = included.iter().enumerate();
    put("receipts", receipts.map(|(index, it)| receipt(prepared, index, it)).collect());
    if prepared.since(SpecId::PRAGUE) {
        put("requestsHash", json!(output.requests.requests_hash()));
        put("requests", output.requests.iter().map(|request| json!(request)).collect());
    }
    if let Some(list) = output.access_list.as_ref().filter(|_| ran.exception.is_none()) {
        put("blockAccessList", json!(Bytes::from(alloy_rlp::encode(list))));
        put("blockAccessListHash", json!(list.compute_hash()));
    }
    if let Some(exception) = &ran.exception {
        put("blockException", json!(exception));
    }
    Value::Object(result)
}

fn receipt(prepared: &Prepared<'_>, index: usize, included: &Included<'_>) -> Value {
    let Included { sender, gas_used, receipt, .. } = included;
    let envelope: &TxEnvelope = included.envelope;
    let status = receipt.status_or_post_state();
    let created = match envelope.kind() {
        TxKind::Create => sender.create(envelope.nonce()),
        TxKind::Call(_) => Address::ZERO,
    };
    let number = hex(prepared.env.number);
    let hash = json!(envelope.tx_hash());
    let log = |(position, log): (usize, &Log)| {
        json!({
            "address": format!("{:?}", log.address),
            "topics": log.topics(),
            "data": log.data.data,
            "blockNumber": number,
            "blockHash": B256::ZERO,
            "transactionHash": hash,
            "transactionIndex": hex(index as u64),
            "logIndex": hex(position as u64),
            "removed": false,
        })
    };
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("type", hex(u64::from(envelope.tx_type() as u8)));
    match status {
        Eip658Value::PostState(root) => {
            put("root", json!(root));
            put("post_state", json!(root));
        }
        Eip658Value::Eip658(success) => {
            put("root", json!(Bytes::new()));
            put("status", hex(u64::from(success)));
            put("succeeded", json!(success));
        }
    }
    put("cumulativeGasUsed", hex(receipt.cumulative_gas_used()));
    put("logsBloom", json!(receipt.logs_bloom()));
    put("bloom", json!(receipt.logs_bloom()));
    put("logs", receipt.logs().iter().enumerate().map(log).collect());
    put("transactionHash", hash.clone());
    put("contractAddress", json!(format!("{created:?}")));
    put("gasUsed", hex(*gas_used));
    let base_fee = prepared.derived.base_fee;
    let price = envelope.effective_gas_price(base_fee);
    put("effectiveGasPrice", json!(format!("{price:#x}")));
    let params = prepared.fork.blobs;
    if let (Some(used), Some(params)) = (envelope.blob_gas_used(), params) {
        let excess = prepared.derived.excess_blob_gas.unwrap_or_default();
        put("blobGasUsed", hex(used));
        put("blobGasPrice", json!(format!("{:#x}", params.calc_blob_fee(excess))));
    }
    put("blockHash", json!(B256::ZERO));
    put("blockNumber", number.clone());
    put("transactionIndex", hex(index as u64));
    Value::Object(object)
}

fn typed(tx_type: TxType, receipt: ReceiptWithBloom<Receipt>) -> ReceiptEnvelope {
    match tx_type {
        TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
    }
}

fn hex(number: u64) -> Value {
    json!(format!("{number:#x}"))
}

/// Replaces the fork's blob parameters by the given ones.
pub(super) fn set_blob_params(
    params: &mut BlobParams,
    value: &Value,
    spec: SpecId,
) -> Result<(), Failure> {
    let fields = Fields::new("blobParams", value)?;
    let number = |name| fields.small(&[name])?.ok_or_else(|| fields.missing(name));
    let (target, max) = (number("target")?, number("max")?);
    if target > max || max > 1_000_000 {
        return Err(wrong("blobParams.max", "a number of blobs from target to 1000000", value));
    }
    (params.target_blob_count, params.max_blob_count) = (target, max);
    params.update_fraction = u128::from(number("baseFeeUpdateFraction")?.max(1));
    if !spec.is_enabled_in(SpecId::OSAKA) {
        params.max_blobs_per_tx = max;
    }
    Ok(())
}
