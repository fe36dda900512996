//! Accounts that receive blind credits.

use super::blind_credits::BlindCredits;
use super::reward::Reward;
use alloy_primitives::{Address, U256};
use core::slice::from_ref;
use revm::state::AccountInfo;

/// An account that receives blind credits, as it is before the block.
pub(in crate::evm) type CreditReceiver = (Address, Option<AccountInfo>);

/// All accounts of a block that receive blind credits.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct Receivers {
    /// Receiver of rewards.
    pub(in crate::evm) beneficiary: CreditReceiver,
    /// Receiver of surcharges.
    pub(in crate::evm) surcharged: CreditReceiver,
    /// Receivers of other payments.
    pub(in crate::evm) paid: Vec<CreditReceiver>,
    /// Whether touching an account creates it (before EIP-161).
    pub(in crate::evm) touch_creates: bool,
}

impl Receivers {
    /// Iterates over all receivers.
    pub(in crate::evm) fn iter(&self) -> impl Iterator<Item = &CreditReceiver> {
        self.paid.iter().chain([&self.beneficiary, &self.surcharged])
    }

    /// Calls `credit` with each receiver of `credits` and its amounts: surcharges, then rewards,
    /// then payments to accounts in `paid`.
    pub(in crate::evm) fn credit(
        &self,
        credits: &BlindCredits,
        mut credit: impl FnMut(&CreditReceiver, &[U256]),
    ) {
        let BlindCredits { rewards, surcharges, payments } = credits;
        for (receiver, amounts) in
            [(&self.surcharged, surcharges.as_slice()), (&self.beneficiary, rewards.as_slice())]
        {
            if !amounts.is_empty() {
                credit(receiver, amounts);
            }
        }
        for (to, amount) in payments {
            if let Some(receiver) = self.paid.iter().find(|(address, _)| address == to) {
                credit(receiver, from_ref(amount));
            }
        }
    }

    /// Returns the credit of `amount` wei to a receiver.
    pub(in crate::evm) const fn reward(&self, amount: U256) -> Reward {
        Reward { amount, touch_creates: self.touch_creates }
    }
}
