//! Headers of blocks that the node makes.

use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Header, TxReceipt,
    constants::EMPTY_WITHDRAWALS,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_eips::eip1559::{BaseFeeParams, INITIAL_BASE_FEE};
use alloy_primitives::{Address, B256, Bloom, keccak256};
use braid_chain::{Rules, pool::SignedTransaction};
use braid_evm::BlockOutput;
use revm::primitives::hardfork::SpecId;

/// The header after `parent`, with what is known before the block is executed.
pub(crate) fn next(
    rules: &Rules,
    beneficiary: Address,
    parent: &Header,
    parent_hash: B256,
    now: u64,
) -> Header {
    let number = parent.number.saturating_add(1);
    let mut header = Header {
        parent_hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary,
        difficulty: parent.difficulty,
        number,
        gas_limit: parent.gas_limit,
        timestamp: now.max(parent.timestamp.saturating_add(1)),
        // Anyone can compute it beforehand: the chain has one producer, and no beacon.
        mix_hash: keccak256([parent_hash.as_slice(), &number.to_be_bytes()].concat()),
        ..Header::default()
    };
    let spec = rules.spec(&header);
    let since = |fork| spec.is_enabled_in(fork);
    header.base_fee_per_gas = since(SpecId::LONDON).then(|| base_fee(parent));
    header.withdrawals_root = since(SpecId::SHANGHAI).then_some(EMPTY_WITHDRAWALS);
    if since(SpecId::CANCUN) {
        header.parent_beacon_block_root = Some(B256::ZERO);
        header.blob_gas_used = Some(0);
        // No block has blobs, so what a genesis has in excess goes down.
        let target = rules.blob_params(spec, header.timestamp);
        let target = target.map_or(0, |params| params.target_blob_gas_per_block());
        let excess = parent.excess_blob_gas.unwrap_or_default();
        header.excess_blob_gas = Some(excess.saturating_sub(target));
    }
    header
}

/// Base fee of the block after `parent` (EIP-1559).
fn base_fee(parent: &Header) -> u64 {
    let params = BaseFeeParams::ethereum();
    match parent.base_fee_per_gas {
        // Where the target is no gas at all, the rule would divide by it.
        Some(fee) if u128::from(parent.gas_limit) < params.elasticity_multiplier => fee,
        Some(fee) => params.next_block_base_fee(parent.gas_used, parent.gas_limit, fee),
        None => INITIAL_BASE_FEE,
    }
}

/// The base fee to which empty blocks after `parent` come in the end.
pub(crate) fn least_base_fee(parent: &Header) -> u64 {
    let (mut fee, gas_limit) = (base_fee(parent), parent.gas_limit);
    loop {
        let empty = Header { base_fee_per_gas: Some(fee), gas_limit, ..Header::default() };
        let next = base_fee(&empty);
        if next >= fee {
            return fee;
        }
        fee = next;
    }
}

/// Fills in what the execution gave. The state root stays zero: it is computed afterwards.
pub(crate) fn seal(
    mut header: Header,
    output: &BlockOutput,
    transactions: Vec<SignedTransaction>,
    has_requests: bool,
) -> alloy_consensus::Block<SignedTransaction> {
    let receipts: Vec<_> = output.receipts.iter().map(TxReceipt::with_bloom_ref).collect();
    header.gas_used = output.gas_used;
    header.receipts_root = calculate_receipt_root(&receipts);
    header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |all, one| all | one.logs_bloom);
    header.transactions_root = calculate_transaction_root(&transactions);
    header.requests_hash = has_requests.then(|| output.requests.requests_hash());
    let withdrawals = header.withdrawals_root.map(|_| Default::default());
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    alloy_consensus::Block { header, body }
}
