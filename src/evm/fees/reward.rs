//! What is added to a balance that no transaction has read.

use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use alloy_primitives::U256;

/// Wei that an account gets without a read of its balance: a fee and a payment of the beneficiary,
/// or a surcharge of its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) struct Reward {
    pub(in crate::evm) amount: U256,
    /// Whether the touch alone creates the account: before EIP-161.
    pub(in crate::evm) touch_creates: bool,
    /// A bug to seed, for tests of the tests.
    pub(in crate::evm) mutant: EvmMutant,
}

impl Reward {
    /// Adds the reward, or drops it where it would overflow, as revm does.
    pub(in crate::evm) fn apply(self, balance: Option<U256>) -> Option<U256> {
        match balance {
            Some(balance) => Some(match balance.checked_add(self.amount) {
                Some(sum) => sum,
                None if is_evm_mutant!(self.mutant, RewardOverflowFills) => U256::MAX,
                None => balance,
            }),
            None if self.amount.is_zero() && !self.touch_creates => None,
            None => Some(self.amount),
        }
    }
}
