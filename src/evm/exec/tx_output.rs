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
    /// Blind credits, which `changes` does not contain. In the output of several transactions they
    /// apply before the changes.
    pub(in crate::evm) credits: BlindCredits,
    pub(in crate::evm) work: Work,
    /// Records of the transaction's accesses, until it commits.
    pub(in crate::evm) access_records: Option<Box<AccessRecords>>,
}

impl TxOutput {
    /// Creates the combined output of transactions whose results are stored elsewhere.
    pub(in crate::evm) fn combined(
        changes: Vec<AccountChange>,
        shard_mask: u64,
        credits: BlindCredits,
    ) -> Self {
        let work = Work::default();
        let result = placeholder();
        Self { result, changes, shard_mask, credits, work, access_records: None }
    }

    /// Takes the result out of the output, or clones it if the output is shared.
    pub(in crate::evm) fn take_result(output: &mut Arc<Self>) -> ExecutionResult {
        match Arc::get_mut(output) {
            Some(output) => core::mem::replace(&mut output.result, placeholder()),
            None => output.result.clone(),
        }
    }
}

/// Returns a result to put in place of one that was taken out.
fn placeholder() -> ExecutionResult {
    ExecutionResult::Revert {
        gas: Default::default(),
        logs: Vec::new(),
        output: Default::default(),
    }
}

/// Outcome of a transaction: its output, `None` if that is stored elsewhere, or the reason for its
/// rejection.
pub(in crate::evm) type TxOutcome = Result<Option<Arc<TxOutput>>, Rejection>;
