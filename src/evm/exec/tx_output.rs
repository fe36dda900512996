//! What one transaction left.

use super::change::AccountChange;
use super::rejection::Rejection;
use super::work::Work;
use crate::evm::bal::accesses::Kept;
use crate::evm::fees::deferred::Deferred;
use revm::context::result::ExecutionResult;
use std::sync::Arc;

/// What one transaction left: kept until the block's bundle is built.
#[derive(Debug)]
pub(in crate::evm) struct TxOutput {
    pub(in crate::evm) result: ExecutionResult,
    pub(in crate::evm) changes: Vec<AccountChange>,
    /// Shards of the changes: see `bundle_shards`.
    pub(in crate::evm) shard_mask: u64,
    /// What is not in `changes`: it comes before them, where several transactions were taken
    /// together.
    pub(in crate::evm) deferred: Deferred,
    /// How much work it was.
    pub(in crate::evm) work: Work,
    /// What is kept of what it has accessed, until it commits.
    pub(in crate::evm) kept: Option<Box<Kept>>,
}

impl TxOutput {
    /// What transactions have left, whose results are somewhere else.
    pub(in crate::evm) fn left(
        changes: Vec<AccountChange>,
        shard_mask: u64,
        deferred: Deferred,
    ) -> Self {
        Self { result: blank(), changes, shard_mask, deferred, work: Work::default(), kept: None }
    }

    /// Takes the result out, unless it is shared.
    pub(in crate::evm) fn take_result(output: &mut Arc<Self>) -> ExecutionResult {
        match Arc::get_mut(output) {
            Some(output) => core::mem::replace(&mut output.result, blank()),
            None => output.result.clone(),
        }
    }
}

/// Stands for a result that is not there any more.
fn blank() -> ExecutionResult {
    let (gas, logs, output) = Default::default();
    ExecutionResult::Revert { gas, logs, output }
}

/// What became of a transaction: what it has left, if that is not somewhere else, or why it was
/// left out.
pub(in crate::evm) type TxOutcome = Result<Option<Arc<TxOutput>>, Rejection>;
