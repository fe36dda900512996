//! Compares the results of an execution with the block's header and its file.

use crate::{
    block::Block,
    block_file::BlockFile,
    sequential::{self, SequentialError, SequentialOutput},
    state_root::{PartialRootError, Witness},
};
use alloy_consensus::{EthereumReceipt, TxReceipt, proofs::calculate_receipt_root};
use alloy_eips::eip7685::Requests;
use alloy_primitives::Bloom;
use braid_evm::AccessList;
use revm::{DatabaseRef, database::BundleState, primitives::hardfork::SpecId};
use std::fmt;

/// The results of an execution that a header commits to.
#[derive(Clone, Copy, Debug)]
pub struct Results<'a> {
    /// Gas used by the block.
    pub gas_used: u64,
    /// Receipts, in block order.
    pub receipts: &'a [EthereumReceipt],
    /// EIP-7685 requests.
    pub requests: &'a Requests,
}

impl<'a> From<&'a SequentialOutput> for Results<'a> {
    fn from(output: &'a SequentialOutput) -> Self {
        let SequentialOutput { gas_used, receipts, requests, .. } = output;
        Self { gas_used: *gas_used, receipts, requests }
    }
}

/// A field of a header, or of the file, that an execution is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Gas used by the block.
    GasUsed,
    /// Root of the receipts trie; from Byzantium on (earlier receipts contain state roots).
    ReceiptsRoot,
    /// Bloom filter of all logs.
    LogsBloom,
    /// Hash of the EIP-7685 requests; from Prague on.
    RequestsHash,
    /// Gas and success of each transaction, as the file (not the header) states them.
    Transactions,
    /// Hash of the block's access list; from Amsterdam on, if there is a list.
    AccessListHash,
    /// Root of the state after the block, if there is a witness beside the file.
    StateRoot,
}

impl Check {
    /// Returns the name of the check in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GasUsed => "gasUsed",
            Self::ReceiptsRoot => "receiptsRoot",
            Self::LogsBloom => "logsBloom",
            Self::RequestsHash => "requestsHash",
            Self::Transactions => "transactions",
            Self::AccessListHash => "blockAccessListHash",
            Self::StateRoot => "stateRoot",
        }
    }
}

/// Result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The field that was compared.
    pub check: Check,
    /// Expected and actual value if they differ, otherwise `None`.
    pub mismatch: Option<String>,
}

impl CheckResult {
    /// Returns the line of a report about a mismatch.
    #[must_use]
    pub fn difference(&self) -> Option<String> {
        self.mismatch.is_some().then(|| format!("block file: {self}"))
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mismatch {
            None => write!(f, "{} ok", self.check.name()),
            Some(mismatch) => write!(f, "{}: {mismatch}", self.check.name()),
        }
    }
}

/// Executes the block of `file` on `database` sequentially and returns the first difference from
/// header and file.
///
/// # Errors
/// Returns an error if the block is invalid.
pub fn of_file<D: DatabaseRef>(
    file: &BlockFile,
    block: &Block,
    database: D,
) -> Result<Option<String>, SequentialError<D::Error>> {
    let output = sequential::execute(block, database)?;
    Ok(first_mismatch(file, block.cfg.spec, Results::from(&output)))
}

/// Returns the first difference between `results` and header and file, worded as by `braid run`.
#[must_use]
pub fn first_mismatch(file: &BlockFile, spec: SpecId, results: Results<'_>) -> Option<String> {
    against_file(file, spec, results).iter().find_map(CheckResult::difference)
}

/// Makes every check that the fork `spec` allows, against the header and against the file.
#[must_use]
pub fn against_file(file: &BlockFile, spec: SpecId, results: Results<'_>) -> Vec<CheckResult> {
    let (header, told) = (&file.block.header.inner, &file.expected);
    let mut checks =
        vec![compare(Check::GasUsed, [Some(header.gas_used), told.gas_used], &results.gas_used)];
    let blooms: Vec<_> = results.receipts.iter().map(TxReceipt::with_bloom_ref).collect();
    if spec.is_enabled_in(SpecId::BYZANTIUM) {
        let expected = [Some(header.receipts_root), told.receipts_root];
        checks.push(compare(Check::ReceiptsRoot, expected, &calculate_receipt_root(&blooms)));
    }
    let bloom = blooms.iter().fold(Bloom::ZERO, |all, receipt| all | receipt.logs_bloom);
    let is_other =
        [Some(header.logs_bloom), told.logs_bloom].iter().flatten().any(|it| *it != bloom);
    checks.push(CheckResult {
        check: Check::LogsBloom,
        mismatch: is_other.then(|| "expected the header's bloom filter, found another".to_owned()),
    });
    if header.requests_hash.is_some() && spec.is_enabled_in(SpecId::PRAGUE) {
        let expected = [header.requests_hash, told.requests_hash];
        checks.push(compare(Check::RequestsHash, expected, &results.requests.requests_hash()));
    }
    if let Some(check) = transactions(file, results.receipts) {
        checks.push(check);
    }
    checks
}

/// Compares the root of the state after a block whose changes are `bundle` with the header's.
///
/// # Errors
/// Returns a [`PartialRootError`] if `witness` is too small to compute the root.
pub fn state_root(
    file: &BlockFile,
    witness: &Witness,
    bundle: &BundleState,
) -> Result<CheckResult, PartialRootError> {
    let found = witness.post_root(bundle)?;
    Ok(compare(Check::StateRoot, [Some(file.block.header.inner.state_root), None], &found))
}

/// Compares the hash of the block's access list with the header's, if the header has one.
#[must_use]
pub fn access_list(file: &BlockFile, list: &AccessList) -> Option<CheckResult> {
    let expected = file.block.header.inner.block_access_list_hash;
    expected?;
    Some(compare(Check::AccessListHash, [expected, None], &list.compute_hash()))
}

/// Compares `found` with the value that header or file expect.
fn compare<T: PartialEq + fmt::Display>(
    check: Check,
    expected: [Option<T>; 2],
    found: &T,
) -> CheckResult {
    let other = expected.into_iter().flatten().find(|expected| expected != found);
    let mismatch = other.map(|expected| format!("expected {expected}, found {found}"));
    CheckResult { check, mismatch }
}

/// Compares gas and success of each transaction with the file's, if the file has them.
fn transactions(file: &BlockFile, receipts: &[EthereumReceipt]) -> Option<CheckResult> {
    let expected = &file.expected;
    if expected.tx_gas_used.is_none() && expected.tx_success.is_none() {
        return None;
    }
    let before = std::iter::once(0).chain(receipts.iter().map(|r| r.cumulative_gas_used));
    let gas: Vec<u64> = receipts
        .iter()
        .zip(before)
        .map(|(receipt, before)| receipt.cumulative_gas_used.saturating_sub(before))
        .collect();
    let success: Vec<bool> = receipts.iter().map(|receipt| receipt.success).collect();
    let mismatch = differing(expected.tx_gas_used.as_deref(), &gas, "gas")
        .or_else(|| differing(expected.tx_success.as_deref(), &success, "success"));
    Some(CheckResult { check: Check::Transactions, mismatch })
}

fn differing<T: PartialEq + fmt::Display>(
    expected: Option<&[T]>,
    found: &[T],
    what: &str,
) -> Option<String> {
    let expected = expected?;
    let wrong =
        expected.iter().zip(found).enumerate().find(|(_, (expected, found))| expected != found);
    if let Some((index, (expected, found))) = wrong {
        return Some(format!("transaction {index}: expected {what} {expected}, found {found}"));
    }
    (expected.len() != found.len())
        .then(|| format!("expected {what} of {}, found {}", expected.len(), found.len()))
}
