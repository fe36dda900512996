//! What transactions have deferred for accounts that they have not read.

use alloy_primitives::{Address, U256};
use smallvec::SmallVec;

/// Amounts in wei, one for each transaction. Each is added by itself, as one that does not fit is
/// dropped.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct Deferred {
    /// Rewards of the beneficiary, and payments to it without a look at its balance, that no
    /// transaction's changes contain yet.
    pub(in crate::evm) rewards: SmallVec<[U256; 1]>,
    /// What was paid on top of the gas, where no transaction's changes contain it yet.
    pub(in crate::evm) surcharges: Vec<U256>,
    /// What other accounts were paid without a look at their balances, and that no transaction's
    /// changes contain yet.
    pub(in crate::evm) payments: Vec<(Address, U256)>,
}

impl Deferred {
    /// What one transaction has deferred.
    pub(in crate::evm) fn of(reward: Option<U256>, surcharge: Option<U256>) -> Self {
        let mut deferred = Self::default();
        if let Some(reward) = reward {
            deferred.rewards.push(reward);
        }
        deferred.surcharges.extend(surcharge);
        deferred
    }

    /// Adds what transactions have paid without a look.
    pub(in crate::evm) fn pay(
        &mut self,
        payments: impl IntoIterator<Item = (Address, U256)>,
        beneficiary: Address,
    ) {
        for (payee, paid) in payments {
            match self.rewards.last_mut() {
                _ if payee != beneficiary => self.payments.push((payee, paid)),
                // No more amounts than transactions: in the store each has the version of one.
                Some(reward) => *reward = reward.saturating_add(paid),
                None => self.rewards.push(paid),
            }
        }
    }

    pub(in crate::evm) fn is_empty(&self) -> bool {
        self.rewards.is_empty() && self.surcharges.is_empty() && self.payments.is_empty()
    }

    /// Adds what later transactions have deferred.
    pub(in crate::evm) fn append(&mut self, later: &Self) {
        self.rewards.extend_from_slice(&later.rewards);
        self.surcharges.extend_from_slice(&later.surcharges);
        self.payments.extend_from_slice(&later.payments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as transactions at most, whatever they have paid.
    #[test]
    fn a_payment_to_the_beneficiary_is_part_of_a_reward() {
        let [beneficiary, other] = [1, 2].map(Address::repeat_byte);
        let amount = |wei: u64| U256::from(wei);
        let mut deferred = Deferred::of(Some(amount(3)), None);
        deferred.append(&Deferred::of(Some(amount(4)), None));
        deferred.pay([(beneficiary, amount(10)), (other, amount(20))], beneficiary);
        assert_eq!(deferred.rewards.as_slice(), [amount(3), amount(14)]);
        assert_eq!(deferred.payments, [(other, amount(20))]);
        let mut without = Deferred::default();
        without.pay([(beneficiary, amount(10))], beneficiary);
        assert_eq!(without.rewards.as_slice(), [amount(10)]);
    }
}
