//! Accesses before the first and after the last transaction: system calls, withdrawals, block
//! rewards. Each side has a single index, whatever it consists of.

use super::accesses::{Accesses, Original};
use alloy_primitives::map::{AddressMap, HashMap};
use alloy_primitives::{Address, U256};
use revm::bytecode::Bytecode;
use revm::state::{AccountInfo, EvmState};

/// Combined accesses of all steps on one side of the transactions.
#[derive(Debug, Default)]
pub(in crate::evm) struct Outside(AddressMap<Span>);

/// An account before the first step that accesses it, and after the last.
#[derive(Debug)]
struct Span {
    before: Original,
    after: Original,
    /// The account's new code, unless empty.
    code: Option<Bytecode>,
    /// Slots with their values before and after.
    slots: HashMap<U256, (U256, U256)>,
}

impl Span {
    fn new(before: Original) -> Self {
        Self { before, after: before, code: None, slots: HashMap::default() }
    }
}

impl Outside {
    /// Adds a system call that ended with `state`. A later call may recreate an account that this
    /// one destroyed.
    pub(in crate::evm) fn add_call(&mut self, state: &EvmState) {
        if mutant!(SecondCallUnlisted) && !self.0.is_empty() {
            return;
        }
        for (address, account) in state {
            let span = self.0.entry(*address).or_insert_with(|| Span::new(Original::at(account)));
            (span.after, span.code) = match account.is_selfdestructed_locally() {
                true => (Original::default(), None),
                false if account.is_touched() => {
                    (Original::of(&account.info), account.info.code.clone())
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

    fn span(&mut self, address: Address, info: Option<&AccountInfo>) -> &mut Span {
        let before = || info.map(Original::of).unwrap_or_default();
        self.0.entry(address).or_insert_with(|| Span::new(before()))
    }

    pub(in crate::evm) fn accesses(&self) -> Accesses {
        let mut accesses = Accesses::default();
        for (address, span) in &self.0 {
            let place = accesses.add_change(*address, span.before, span.after, span.code.as_ref());
            for (slot, (before, after)) in &span.slots {
                accesses.add_values(place, *slot, *before, *after);
            }
        }
        accesses
    }
}
