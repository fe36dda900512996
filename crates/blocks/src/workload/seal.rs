//! Completes a block with the results of its execution: the sequential oracle runs it, and the
//! header takes gas, receipts, logs, requests and state from the output.

use super::{WorkloadError, state::State};
use crate::{
    block_file::BlockFile,
    sequential::{self, SequentialOutcome, SequentialOutput},
};
use alloy_consensus::{EthereumReceipt, TxReceipt, proofs::calculate_receipt_root};
use alloy_primitives::Bloom;
use alloy_rpc_types_eth::BlockTransactions;

/// Executes the block sequentially, completes its header and expectations, and returns the state
/// after it.
pub(super) fn seal(file: &mut BlockFile) -> Result<State, WorkloadError> {
    let failed = |error: &dyn std::error::Error| WorkloadError::Execution(error.to_string());
    let (block, database) = file.to_block().map_err(|error| failed(&error))?;
    let output = sequential::execute(&block, database).map_err(|error| failed(&error))?;
    let mut after = State { accounts: file.pre_state.clone(), codes: file.codes.clone() };
    after.apply(&output.bundle);

    expect(file, &output);
    file.expected.state_root = Some(after.root());
    complete_header(file);
    Ok(after)
}

/// Sets the file's expected results from the execution.
fn expect(file: &mut BlockFile, output: &SequentialOutput) {
    let with_blooms: Vec<_> = output.receipts.iter().map(EthereumReceipt::with_bloom_ref).collect();
    let logs_bloom = with_blooms.iter().fold(Bloom::ZERO, |all, receipt| all | receipt.logs_bloom);
    let mut before = 0;
    let gas = output.receipts.iter().map(|receipt| {
        let used = receipt.cumulative_gas_used - before;
        before = receipt.cumulative_gas_used;
        used
    });
    let expected = &mut file.expected;
    expected.tx_gas_used = Some(gas.collect());
    expected.tx_success = Some(output.outcomes.iter().map(succeeded).collect());
    expected.gas_used = Some(output.gas_used);
    expected.receipts_root = Some(calculate_receipt_root(&with_blooms));
    expected.logs_bloom = Some(logs_bloom);
    expected.requests_hash = Some(output.requests.requests_hash());
}

const fn succeeded(outcome: &SequentialOutcome) -> bool {
    matches!(outcome, SequentialOutcome::Executed(result) if result.is_success())
}

/// Copies the expectations into the header, and updates its hash and the transactions' copies of
/// it.
fn complete_header(file: &mut BlockFile) {
    let expected = &file.expected;
    let header = &mut file.block.header;
    header.inner.gas_used = expected.gas_used.unwrap_or_default();
    header.inner.receipts_root = expected.receipts_root.unwrap_or_default();
    header.inner.logs_bloom = expected.logs_bloom.unwrap_or_default();
    header.inner.state_root = expected.state_root.unwrap_or_default();
    header.inner.requests_hash = expected.requests_hash;
    header.hash = header.inner.hash_slow();
    if let BlockTransactions::Full(transactions) = &mut file.block.transactions {
        for transaction in transactions {
            transaction.block_hash = Some(header.hash);
        }
    }
}
