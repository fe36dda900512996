//! Results of a block's execution as its header claims them.

use crate::ChainError;
use alloy_consensus::{Header, TxReceipt, proofs::calculate_receipt_root};
use alloy_primitives::{B256, Bloom};
use braid_evm::BlockOutput;

/// Results of a block's execution as its header claims them. `None` is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Gas used by the block.
    pub gas_used: Option<u64>,
    /// Root of the receipts. Before Byzantium, receipts contain state roots, which Braid does not
    /// compute.
    pub receipts_root: Option<B256>,
    /// Bloom filter of all logs.
    pub logs_bloom: Option<Bloom>,
    /// Hash of the requests (EIP-7685).
    pub requests_hash: Option<B256>,
    /// State root after the block. The writer compares it, if the chain has state roots.
    pub state_root: Option<B256>,
}

impl Expected {
    /// Takes the claims of `header`. `byzantium` says whether that fork is active.
    #[must_use]
    pub fn of(header: &Header, byzantium: bool) -> Self {
        Self {
            gas_used: Some(header.gas_used),
            receipts_root: byzantium.then_some(header.receipts_root),
            logs_bloom: Some(header.logs_bloom),
            requests_hash: header.requests_hash,
            state_root: Some(header.state_root),
        }
    }

    /// Compares each claim, except the state root, with `output`.
    pub(crate) fn check(&self, number: u64, output: &BlockOutput) -> Result<(), ChainError> {
        same(number, "gas used", self.gas_used, || output.gas_used)?;
        let receipts = || output.receipts.iter().map(TxReceipt::with_bloom_ref);
        let bloom = || receipts().fold(Bloom::ZERO, |all, receipt| all | receipt.logs_bloom);
        same(number, "logs bloom", self.logs_bloom, bloom)?;
        let root = || calculate_receipt_root(&receipts().collect::<Vec<_>>());
        same(number, "receipts root", self.receipts_root, root)?;
        same(number, "requests hash", self.requests_hash, || output.requests.requests_hash())
    }
}

fn same<T: PartialEq + core::fmt::Display>(
    number: u64,
    field: &'static str,
    stated: Option<T>,
    found: impl FnOnce() -> T,
) -> Result<(), ChainError> {
    let Some(stated) = stated else { return Ok(()) };
    let found = found();
    if stated == found {
        return Ok(());
    }
    let (stated, found) = (stated.to_string(), found.to_string());
    Err(ChainError::Header { number, field, stated, found })
}
