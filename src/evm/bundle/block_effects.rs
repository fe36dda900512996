//! What a block has left, before it is folded by account.

use crate::evm::bal::outside::Outside;
use crate::evm::block::receipts::OutcomesBuilder;
use crate::evm::exec::change::AccountChange;
use crate::evm::exec::tx_output::TxOutcome;
use crate::evm::mutants::EvmMutant;
use alloy_primitives::Address;
use revm::database::BundleState;
use revm::state::AccountInfo;
use std::sync::Arc;

/// Everything that changes accounts in a block, in order.
#[derive(Debug, Default)]
pub(in crate::evm) struct BlockEffects {
    /// What the pre-block calls left.
    pub(in crate::evm) before: Vec<AccountChange>,
    /// What became of the transactions; see `split` for the first ones.
    pub(in crate::evm) outcomes: Vec<TxOutcome>,
    /// Outcomes and receipts of the first ones, if they were made before: their results may be gone
    /// then.
    pub(in crate::evm) split: OutcomesBuilder,
    /// For each of them, one bit for each shard that its changes are in: most buckets need not look
    /// at more.
    pub(in crate::evm) shard_masks: Vec<u64>,
    /// What the post-block calls left.
    pub(in crate::evm) after: Vec<AccountChange>,
    /// Accounts that the DAO fork drains.
    pub(in crate::evm) drained: Vec<(Address, Option<AccountInfo>)>,
    /// Wei that the end of the block adds, with the accounts as they are before the block, for
    /// accounts that nothing else has touched.
    pub(in crate::evm) increments: Vec<(Address, u128, Option<AccountInfo>)>,
    /// Receiver of rewards that were deferred, as it is before the block.
    pub(in crate::evm) beneficiary: (Address, Option<AccountInfo>),
    /// Receiver of surcharges that were deferred, as it is before the block.
    pub(in crate::evm) surcharged: (Address, Option<AccountInfo>),
    /// Other accounts for which payments were deferred, as they are before the block.
    pub(in crate::evm) paid: Vec<(Address, Option<AccountInfo>)>,
    /// What is accessed before the transactions, and after them, if an access list is asked for.
    pub(in crate::evm) outside: [Outside; 2],
    /// The bundle to continue, until the transactions have ended.
    pub(in crate::evm) parent: Option<Arc<BundleState>>,
    /// Whether a touch alone creates an account: before EIP-161.
    pub(in crate::evm) touch_creates: bool,
    /// A bug to seed, for tests of the tests.
    pub(in crate::evm) mutant: EvmMutant,
}
