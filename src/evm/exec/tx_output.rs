//! Output of one transaction.

use super::change::AccountChange;
use super::rejection::Rejection;
use super::work::Work;
use crate::evm::bal::accesses::AccessRecords;
use crate::evm::fees::blind_credits::BlindCredits;
use revm::context::result::ExecutionResult;
use std::sync::Arc;

/// Output of one transaction, kept until the block's bundle is built.
#[derive(Debug)]
pub(in crate::evm) struct TxOutput {
    pub(in crate::evm) result: ExecutionResult,
    pub(in crate::evm) changes: Vec<AccountChange>,
    /// Bit mask of the shards of `changes`: see `bundle_shards`.
    pub(in crate::evm) shard_mask: u64,
    /// Blind credits, which `changes` does not contain. In an output of several transactions they
    /// apply before the changes.
    pub(in crate::evm) credits: BlindCredits,
    /// Work of the transaction.
    pub(in crate::evm) work: Work,
    /// Records of its accesses, kept until it commits.
    pub(in crate::evm) kept: Option<Box<AccessRecords>>,
}

impl TxOutput {
    /// Combined output of transactions whose results are stored elsewhere.
    pub(in crate::evm) fn left(
        changes: Vec<AccountChange>,
        shard_mask: u64,
        credits: BlindCredits,
    ) -> Self {
        Self { result: blank(), changes, shard_mask, credits, work: Work::default(), kept: None }
    }

    /// Takes the result out of the output, or clones it if the output is shared.
    pub(in crate::evm) fn take_result(output: &mut Arc<Self>) -> ExecutionResult {
        match Arc::get_mut(output) {
            Some(output) => core::mem::replace(&mut output.result, blank()),
            None => output.result.clone(),
        }
    }
}

/// Placeholder for a result that was taken out.
fn blank() -> ExecutionResult {
    ExecutionResult::Revert {
        gas: Default::default(),
        logs: Vec::new(),
        output: Default::default(),
    }
}

/// Outcome of a transaction: its output, `None` if that is stored elsewhere, or the reason for its
/// rejection.
pub(in crate::evm) type TxOutcome = Result<Option<Arc<TxOutput>>, Rejection>;
