//! Blind credits: amounts that transactions add to balances without reading them.

use alloy_primitives::{Address, U256};
use smallvec::SmallVec;

/// Blind credits in wei, with an entry for each transaction. Each entry is applied separately,
/// because a credit that would overflow the balance is dropped.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct BlindCredits {
    /// Fee rewards and payments to the beneficiary that are in no transaction's changes.
    pub(in crate::evm) rewards: SmallVec<[U256; 1]>,
    /// Surcharges that are in no transaction's changes.
    pub(in crate::evm) surcharges: Vec<U256>,
    /// Payments to other accounts that are in no transaction's changes.
    pub(in crate::evm) payments: Vec<(Address, U256)>,
}

impl BlindCredits {
    /// Blind credits of one transaction.
    pub(in crate::evm) fn of(reward: Option<U256>, surcharge: Option<U256>) -> Self {
        let mut credits = Self::default();
        if let Some(reward) = reward {
            credits.rewards.push(reward);
        }
        credits.surcharges.extend(surcharge);
        credits
    }

    /// Adds `payments`. A payment to the beneficiary is added to the last reward.
    pub(in crate::evm) fn pay(
        &mut self,
        payments: impl IntoIterator<Item = (Address, U256)>,
        beneficiary: Address,
    ) {
        for (payee, paid) in payments {
            match self.rewards.last_mut() {
                _ if payee != beneficiary => self.payments.push((payee, paid)),
                // There must not be more entries than transactions: in the store, each entry has
                // the version of a transaction.
                Some(reward) => *reward = reward.saturating_add(paid),
                None => self.rewards.push(paid),
            }
        }
    }

    pub(in crate::evm) fn is_empty(&self) -> bool {
        self.rewards.is_empty() && self.surcharges.is_empty() && self.payments.is_empty()
    }

    /// Appends the credits of later transactions.
    pub(in crate::evm) fn append(&mut self, later: &Self) {
        self.rewards.extend_from_slice(&later.rewards);
        self.surcharges.extend_from_slice(&later.surcharges);
        self.payments.extend_from_slice(&later.payments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There are never more rewards than transactions, whatever they pay.
    #[test]
    fn a_payment_to_the_beneficiary_is_part_of_a_reward() {
        let [beneficiary, other] = [1, 2].map(Address::repeat_byte);
        let amount = |wei: u64| U256::from(wei);
        let mut credits = BlindCredits::of(Some(amount(3)), None);
        credits.append(&BlindCredits::of(Some(amount(4)), None));
        credits.pay([(beneficiary, amount(10)), (other, amount(20))], beneficiary);
        assert_eq!(credits.rewards.as_slice(), [amount(3), amount(14)]);
        assert_eq!(credits.payments, [(other, amount(20))]);
        let mut without = BlindCredits::default();
        without.pay([(beneficiary, amount(10))], beneficiary);
        assert_eq!(without.rewards.as_slice(), [amount(10)]);
    }
}
