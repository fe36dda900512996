//! Accesses before the first and after the last transaction, by system calls, withdrawals and block
//! rewards. All steps on one side of the transactions share one index.

use super::accesses::{Accesses, AccountFields};
use alloy_primitives::map::{AddressMap, HashMap};
use alloy_primitives::{Address, U256};
use revm::bytecode::Bytecode;
use revm::state::{AccountInfo, EvmState};

/// Combined accesses of all steps before, or all steps after, the transactions.
#[derive(Debug, Default)]
pub(in crate::evm) struct StepAccesses(AddressMap<AccountSpan>);

/// An account before the first step that accesses it and after the last one.
#[derive(Debug)]
struct AccountSpan {
    before: AccountFields,
    after: AccountFields,
    /// The account's new code, unless empty.
    code: Option<Bytecode>,
    /// Slots with their values before and after.
    slots: HashMap<U256, (U256, U256)>,
}

impl AccountSpan {
    fn new(before: AccountFields) -> Self {
        Self { before, after: before, code: None, slots: HashMap::default() }
    }
}

impl StepAccesses {
    /// Adds the accesses of a system call that ended with `state`. A later call may recreate an
    /// account that an earlier one destroyed.
    pub(in crate::evm) fn add_call(&mut self, state: &EvmState) {
        if mutant!(SecondCallUnlisted) && !self.0.is_empty() {
            return;
        }
        for (address, account) in state {
            let span = self
                .0
                .entry(*address)
                .or_insert_with(|| AccountSpan::new(AccountFields::before(account)));
            (span.after, span.code) = match account.is_selfdestructed_locally() {
                true => (AccountFields::default(), None),
                false if account.is_touched() => {
                    (AccountFields::of(&account.info), account.info.code.clone())
                }
                false => (span.after, span.code.take()),
            };
            for (slot, value) in &account.storage {
                let values = (value.original_value, value.present_value);
                span.slots.entry(*slot).or_insert(values).1 = value.present_value;
            }
            if account.is_selfdestructed_locally() {
                span.slots.values_mut().for_each(|(_, after)| *after = U256::ZERO);
            }
        }
    }

    /// Adds `amount` wei to the account, which is `info` after the calls.
    pub(in crate::evm) fn add_balance(
        &mut self,
        address: Address,
        info: Option<&AccountInfo>,
        amount: u128,
    ) {
        let balance = &mut self.span(address, info).after.balance;
        *balance = balance.saturating_add(U256::from(amount));
    }

    /// Sets the balance of the account, which is `info` after the calls, to zero.
    pub(in crate::evm) fn drain(&mut self, address: Address, info: Option<&AccountInfo>) {
        self.span(address, info).after.balance = U256::ZERO;
    }

    fn span(&mut self, address: Address, info: Option<&AccountInfo>) -> &mut AccountSpan {
        let before = || info.map(AccountFields::of).unwrap_or_default();
        self.0.entry(address).or_insert_with(|| AccountSpan::new(before()))
    }

    pub(in crate::evm) fn accesses(&self) -> Accesses {
        let mut accesses = Accesses::default();
        for (address, span) in &self.0 {
            let index = accesses.add_change(*address, span.before, span.after, span.code.as_ref());
            for (slot, (before, after)) in &span.slots {
                accesses.add_values(index, *slot, *before, *after);
            }
        }
        accesses
    }
}
