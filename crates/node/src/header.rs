//! Headers of the blocks that the node makes.

use crate::{clock::Clock, stored::StoredBlock};
use alloy_consensus::{
    BlockBody, BlockHeader as _, EMPTY_OMMER_ROOT_HASH, Header, TxReceipt,
    constants::EMPTY_WITHDRAWALS,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_eips::{
    eip1559::{BaseFeeParams, INITIAL_BASE_FEE},
    eip7840::BlobParams,
};
use alloy_primitives::{Address, B256, Bloom, U256, keccak256};
use alloy_rlp::Encodable;
use braid_chain::{Rules, pool::SignedTransaction};
use braid_evm::BlockOutput;
use revm::{
    context::{BlockEnv, CfgEnv},
    primitives::hardfork::SpecId,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Configuration from which, with the parent, the header of a block follows.
#[derive(Debug)]
pub(crate) struct Producer {
    pub(crate) rules: Rules,
    pub(crate) beneficiary: Address,
    pub(crate) clock: Clock,
}

impl Producer {
    /// Returns the header after `parent` at the time `now`, with the fields known before the block
    /// is executed. `now` is in seconds since 1970; the [clock](Clock) may decide otherwise.
    pub(crate) fn next(&self, parent: &StoredBlock, now: u64) -> Header {
        let (parent_hash, parent) = (parent.hash, &parent.header);
        let number = parent.number.saturating_add(1);
        let mut header = Header {
            parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.beneficiary,
            difficulty: match self.rules.is_merged_after(parent) {
                true => U256::ZERO,
                false => parent.difficulty,
            },
            number,
            gas_limit: parent.gas_limit,
            timestamp: self.clock.next(now, parent.timestamp),
            // Predictable for everyone: the chain has one producer, and no beacon chain.
            mix_hash: keccak256([parent_hash.as_slice(), &number.to_be_bytes()].concat()),
            ..Header::default()
        };
        let spec = self.rules.spec(&header);
        let since = |fork| spec.is_enabled_in(fork);
        header.base_fee_per_gas = since(SpecId::LONDON).then(|| base_fee(&self.rules, parent));
        header.withdrawals_root = since(SpecId::SHANGHAI).then_some(EMPTY_WITHDRAWALS);
        if since(SpecId::CANCUN) {
            header.parent_beacon_block_root = Some(B256::ZERO);
            header.blob_gas_used = Some(0);
            let params = self.rules.blob_params(spec, header.timestamp);
            header.excess_blob_gas = Some(excess_blob_gas(params, parent));
        }
        header
    }

    /// Whether blob gas is cheaper after an empty block with this header. It may never be if the base
    /// fee is fixed (EIP-7918).
    pub(crate) fn do_blob_fees_fall(&self, header: &Header) -> bool {
        let params = self.rules.blob_params(self.rules.spec(header), header.timestamp);
        let excess = header.excess_blob_gas.unwrap_or_default();
        let empty = Header { blob_gas_used: Some(0), ..header.clone() };
        excess > 0 && excess_blob_gas(params, &empty) < excess
    }

    /// Returns the block after `parent` that would be made `now`, without transactions.
    pub(crate) fn pending(&self, parent: &StoredBlock, now: u64) -> StoredBlock {
        let header = self.next(parent, now);
        let has_requests = self.rules.spec(&header).is_enabled_in(SpecId::PRAGUE);
        let block = seal(header, &BlockOutput::default(), None, Vec::new(), has_requests);
        let (hash, size) = (block.header.hash_slow(), block.length());
        StoredBlock::new(hash, block.header, Vec::new(), Some(Vec::new()), size)
    }

    /// Returns rules and environment of the block after `parent` at the time `now`.
    pub(crate) fn next_environment(&self, parent: &StoredBlock, now: u64) -> (CfgEnv, BlockEnv) {
        self.rules.environment(&self.next(parent, now))
    }
}

/// Returns the time until the clock is past the time of `parent`; zero if it already is.
pub(crate) fn until_after(parent: &Header) -> Duration {
    let next = Duration::from_secs(parent.timestamp.saturating_add(1));
    next.saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Cap on a parent's base fee, excess of blob gas and used blob gas, which an imported header or
/// `eth_simulateV1` may set to anything. Above it the fee rules overflow 64 bits.
const MAX_PARENT: u64 = u64::MAX >> 1;

/// Returns the excess of blob gas after `parent` (EIP-4844, EIP-7918).
pub(crate) fn excess_blob_gas(params: Option<BlobParams>, parent: &Header) -> u64 {
    // The rule multiplies the used gas by a number of blobs.
    let most_used = MAX_PARENT / params.map_or(1, |params| params.max_blob_count.max(1));
    let parent = Header {
        excess_blob_gas: parent.excess_blob_gas.map(|gas| gas.min(MAX_PARENT)),
        blob_gas_used: parent.blob_gas_used.map(|gas| gas.min(most_used)),
        base_fee_per_gas: parent.base_fee_per_gas,
        ..Header::default()
    };
    parent.maybe_next_block_excess_blob_gas(params).unwrap_or_default()
}

/// Returns the base fee of the block after `parent` (EIP-1559). A base fee of zero stays zero: only
/// a chain without fees has it, as no other base fee falls so low.
pub(crate) fn base_fee(rules: &Rules, parent: &Header) -> u64 {
    let params = BaseFeeParams::ethereum();
    match parent.base_fee_per_gas {
        _ if rules.is_base_fee_zero() => 0,
        Some(0) => 0,
        Some(fee) if rules.is_base_fee_fixed() => fee,
        // With a target of zero gas, the rule would divide by zero.
        Some(fee) if u128::from(parent.gas_limit) < params.elasticity_multiplier => fee,
        Some(fee) => params.next_block_base_fee(
            parent.gas_used.min(parent.gas_limit),
            parent.gas_limit,
            fee.min(MAX_PARENT),
        ),
        None => INITIAL_BASE_FEE,
    }
}

/// Returns the base fee that empty blocks after `parent` converge to, if the next block has the
/// base fee `next`.
pub(crate) fn least_base_fee(rules: &Rules, parent: &Header, next: u64) -> u64 {
    let (mut fee, gas_limit) = (next, parent.gas_limit);
    loop {
        let empty = Header { base_fee_per_gas: Some(fee), gas_limit, ..Header::default() };
        let next = base_fee(rules, &empty);
        if next >= fee {
            return fee;
        }
        fee = next;
    }
}

/// Adds the results of the execution to `header`. A chain without state roots states zero.
pub(crate) fn seal(
    mut header: Header,
    output: &BlockOutput,
    state_root: Option<B256>,
    transactions: Vec<SignedTransaction>,
    has_requests: bool,
) -> alloy_consensus::Block<SignedTransaction> {
    let receipts: Vec<_> = output.receipts.iter().map(TxReceipt::with_bloom_ref).collect();
    header.state_root = state_root.unwrap_or_default();
    header.gas_used = output.gas_used;
    header.blob_gas_used = header.blob_gas_used.map(|_| output.blob_gas_used);
    header.receipts_root = calculate_receipt_root(&receipts);
    header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |all, one| all | one.logs_bloom);
    header.transactions_root = calculate_transaction_root(&transactions);
    header.requests_hash = has_requests.then(|| output.requests.requests_hash());
    let withdrawals = header.withdrawals_root.map(|_| Default::default());
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    alloy_consensus::Block { header, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An imported header may state any fee and any gas.
    #[test]
    fn no_header_makes_the_next_one_overflow() {
        let rules = Rules::new(serde_json::from_str(r#"{"chainId": 1}"#).unwrap());
        for numbers in [[u64::MAX; 3], [u64::MAX - 1, 1, u64::MAX], [u64::MAX, 0, 1]] {
            let [fee, excess, used] = numbers;
            let parent = Header {
                base_fee_per_gas: Some(fee),
                excess_blob_gas: Some(excess),
                blob_gas_used: Some(used),
                gas_limit: u64::MAX,
                gas_used: u64::MAX,
                ..Header::default()
            };
            assert!(base_fee(&rules, &parent) >= u64::MAX >> 1);
            for params in [BlobParams::cancun(), BlobParams::osaka()] {
                excess_blob_gas(Some(params), &parent);
            }
        }
        assert_eq!(excess_blob_gas(None, &Header::default()), 0);
        // More gas may be used than the next block may use.
        let gas = |blobs: u64| Some(blobs << 17);
        let used = Header {
            base_fee_per_gas: Some(7),
            blob_gas_used: gas(9),
            excess_blob_gas: gas(0),
            ..Header::default()
        };
        assert_eq!(excess_blob_gas(Some(BlobParams::cancun()), &used), 6 << 17);
    }
}
