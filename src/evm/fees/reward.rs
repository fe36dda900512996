//! A single blind credit.
use alloy_primitives::U256;

/// A blind credit in wei: a fee reward, a payment or a surcharge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evm) struct Reward {
    pub(in crate::evm) amount: U256,
    /// Whether touching an account creates it (before EIP-161).
    pub(in crate::evm) touch_creates: bool,
}

impl Reward {
    /// Returns the balance with the reward added. Like revm, drops a reward that would overflow.
    pub(in crate::evm) fn apply(self, balance: Option<U256>) -> Option<U256> {
        match balance {
            Some(balance) => Some(match balance.checked_add(self.amount) {
                Some(sum) => sum,
                None if mutant!(RewardOverflowFills) => U256::MAX,
                None => balance,
            }),
            None if self.amount.is_zero() && !self.touch_creates => None,
            None => Some(self.amount),
        }
    }
}
