//! All effects of a block, before they are folded by account.

use crate::evm::bal::step_accesses::StepAccesses;
use crate::evm::block::receipts::OutcomesBuilder;
use crate::evm::exec::change::AccountChange;
use crate::evm::exec::tx_output::TxOutcome;
use crate::evm::fees::receivers::Receivers;
use alloy_primitives::Address;
use revm::database::BundleState;
use revm::state::AccountInfo;
use std::sync::Arc;

/// Everything in a block that changes accounts, in block order.
#[derive(Debug, Default)]
pub(in crate::evm) struct BlockEffects {
    /// Changes of the pre-block calls.
    pub(in crate::evm) before: Vec<AccountChange>,
    /// Outcomes of the transactions; for the first ones, see `outcomes_builder`.
    pub(in crate::evm) outcomes: Vec<TxOutcome>,
    /// Outcomes and receipts of the first transactions, if they were built early. Their results are
    /// moved out of `outcomes`.
    pub(in crate::evm) outcomes_builder: OutcomesBuilder,
    /// Bit mask of the shards of each transaction's changes, by which most buckets skip the
    /// transaction.
    pub(in crate::evm) shard_masks: Vec<u64>,
    /// Changes of the post-block calls.
    pub(in crate::evm) after: Vec<AccountChange>,
    /// Accounts that the DAO fork drains.
    pub(in crate::evm) drained: Vec<(Address, Option<AccountInfo>)>,
    /// Balance increments at the end of the block in wei, each with the account before the block,
    /// which is used if nothing else has touched it.
    pub(in crate::evm) increments: Vec<(Address, u128, Option<AccountInfo>)>,
    pub(in crate::evm) receivers: Receivers,
    /// Accesses before and after the transactions, if an access list is being built or checked.
    pub(in crate::evm) step_accesses: [StepAccesses; 2],
    /// The bundle to continue; cleared once the transactions have ended.
    pub(in crate::evm) parent: Option<Arc<BundleState>>,
}
