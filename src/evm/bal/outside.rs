//! What is accessed before the first and after the last transaction: by system calls, withdrawals,
//! rewards of the block. Each side has one index, whatever it consists of.

use super::accesses::Accesses;
use alloy_primitives::{Address, U256};
use revm::state::{Account, AccountInfo, EvmState, TransactionId};

/// What the steps on one side of the transactions have accessed, taken together.
#[derive(Debug, Default)]
pub(in crate::evm) struct Outside(EvmState);

impl Outside {
    /// A system call has left `state`.
    pub(in crate::evm) fn add_call(&mut self, state: &EvmState) {
        for (address, later) in state {
            let Some(account) = self.0.get_mut(address) else {
                self.0.insert(*address, later.clone());
                continue;
            };
            account.info = later.info.clone();
            account.status |= later.status;
            for (slot, value) in &later.storage {
                let slot = account.storage.entry(*slot).or_insert_with(|| value.clone());
                slot.present_value = value.present_value;
            }
        }
    }

    /// The account, which is `info` after the calls, gets `amount` wei.
    pub(in crate::evm) fn add_balance(
        &mut self,
        address: Address,
        info: Option<&AccountInfo>,
        amount: u128,
    ) {
        let balance = &mut self.account(address, info).info.balance;
        *balance = balance.saturating_add(U256::from(amount));
    }

    /// The account, which is `info` after the calls, loses its balance.
    pub(in crate::evm) fn drain(&mut self, address: Address, info: Option<&AccountInfo>) {
        self.account(address, info).info.balance = U256::ZERO;
    }

    fn account(&mut self, address: Address, info: Option<&AccountInfo>) -> &mut Account {
        let account = self.0.entry(address).or_insert_with(|| match info {
            Some(info) => Account::from(info.clone()),
            None => Account::new_not_existing(TransactionId::ZERO),
        });
        account.mark_touch();
        account
    }

    pub(in crate::evm) fn accesses(&self) -> Accesses {
        Accesses::of_state(&self.0)
    }
}
