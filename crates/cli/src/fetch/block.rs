//! Requests a block and checks that it is consistent.

use super::{Client, FetchError};
use alloy_consensus::{Header, proofs, transaction::SignerRecoverable};
use alloy_evm::spec_by_timestamp_and_block_number;
use alloy_hardforks::EthereumChainHardforks;
use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::Block;
use braid_blocks::fork;
use braid_terminal::Transport;
use revm::primitives::hardfork::SpecId;
use serde::Deserialize;
use std::fmt;

/// A block from the node, with its surroundings.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) chain_id: u64,
    /// The node's name and version.
    pub(super) software: String,
    pub(super) block: Block,
    pub(super) ommers: Vec<Header>,
}

impl Found {
    /// Returns the number of the block.
    pub(super) fn number(&self) -> u64 {
        self.block.header.inner.number
    }

    /// Returns the block's number as a call parameter.
    pub(super) fn tag(&self) -> U64 {
        U64::from(self.number())
    }

    /// Returns the parent's number as a call parameter.
    pub(super) fn parent_tag(&self) -> U64 {
        U64::from(self.number().saturating_sub(1))
    }
}

/// Only the hash of a block.
#[derive(Deserialize)]
pub(super) struct Hashed {
    pub(super) hash: B256,
}

/// Requests the block with this number, or the latest, and its parent and ommers.
pub(super) fn find<T: Transport>(
    client: &Client<T>,
    number: Option<u64>,
) -> Result<Found, FetchError> {
    let chain_id: U64 = client.call("eth_chainId", ())?;
    let software = client.call("web3_clientVersion", ()).unwrap_or_else(|_| "unknown".to_owned());
    let block: Option<Block> = match number {
        Some(number) => client.call("eth_getBlockByNumber", (U64::from(number), true))?,
        None => client.call("eth_getBlockByNumber", ("latest", true))?,
    };
    let block = block.ok_or_else(|| FetchError::NoBlock {
        wanted: number.map_or_else(|| "latest".to_owned(), |number| number.to_string()),
    })?;
    let mut found = Found { chain_id: chain_id.to(), software, block, ommers: Vec::new() };
    if found.number() == 0 {
        return Err(FetchError::Genesis);
    }
    check(&found.block)?;
    let parent: Option<Hashed> =
        client.call("eth_getBlockByNumber", (found.parent_tag(), false))?;
    let expected = found.block.header.inner.parent_hash;
    let hash = parent.map_or(B256::ZERO, |parent| parent.hash);
    if hash != expected {
        let number = found.number().saturating_sub(1);
        return Err(FetchError::Reorganised { number, expected, found: hash });
    }
    for index in 0..found.block.uncles.len() {
        let place = (found.tag(), U64::from(index));
        let ommer: Block = client.call("eth_getUncleByBlockNumberAndIndex", place)?;
        found.ommers.push(ommer.header.inner);
    }
    Ok(found)
}

/// Checks the hashes and roots in the block's header against its content.
fn check(block: &Block) -> Result<(), FetchError> {
    let header = &block.header.inner;
    same("the header's hash", &block.header.hash, &header.hash_slow())?;
    let Some(transactions) = block.transactions.as_transactions() else {
        let transactions = block.transactions.len();
        return same("whole transactions", &transactions, &0);
    };
    let envelopes: Vec<_> = transactions.iter().map(|tx| tx.inner.inner()).collect();
    let root = proofs::calculate_transaction_root(&envelopes);
    same("the transactions' root", &header.transactions_root, &root)?;
    for transaction in transactions {
        let named = transaction.inner.signer();
        let signer = transaction.inner.inner().recover_signer().unwrap_or_default();
        same("the sender by signature", &named, &signer)?;
    }
    if let (Some(expected), Some(withdrawals)) = (header.withdrawals_root, &block.withdrawals) {
        let root = proofs::calculate_withdrawals_root(withdrawals);
        same("the withdrawals' root", &expected, &root)?;
    }
    Ok(())
}

fn same<T: PartialEq + fmt::Display>(
    what: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), FetchError> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected.to_string(), found.to_string());
    Err(FetchError::Inconsistent { what, expected, found })
}

/// Returns the forks whose rules the block may follow, newest first: one on a known chain,
/// otherwise every fork with such headers.
pub(super) fn candidate_forks(found: &Found) -> Result<Vec<SpecId>, FetchError> {
    let header = &found.block.header.inner;
    let known = match found.chain_id {
        fork::MAINNET => Some(EthereumChainHardforks::mainnet()),
        fork::SEPOLIA => Some(EthereumChainHardforks::sepolia()),
        fork::HOLESKY => Some(EthereumChainHardforks::holesky()),
        fork::HOODI => Some(EthereumChainHardforks::hoodi()),
        _ => None,
    };
    if let Some(chain) = known {
        let fork = spec_by_timestamp_and_block_number(&chain, header.timestamp, header.number);
        return Ok(vec![fork]);
    }
    let merged = header.difficulty.is_zero();
    Ok(match header {
        Header { block_access_list_hash: Some(_), .. } => vec![SpecId::AMSTERDAM],
        Header { requests_hash: Some(_), .. } => vec![SpecId::OSAKA, SpecId::PRAGUE],
        Header { parent_beacon_block_root: Some(_), .. } => vec![SpecId::CANCUN],
        Header { withdrawals_root: Some(_), .. } => vec![SpecId::SHANGHAI],
        Header { base_fee_per_gas: Some(_), .. } if merged => vec![SpecId::MERGE],
        Header { base_fee_per_gas: Some(_), .. } => vec![SpecId::LONDON],
        _ => return Err(FetchError::UnknownFork { chain_id: found.chain_id }),
    })
}
