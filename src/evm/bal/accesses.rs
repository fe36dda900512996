//! Accesses of one transaction: the accounts and slots that it read, and the values that it wrote.

#[cfg(feature = "alloy")]
use super::changes::at_index;
use super::declaration::{Declaration, DeclaredLocation, Undeclared};
#[cfg(feature = "alloy")]
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use revm::bytecode::Bytecode;
use revm::state::{Account, AccountInfo, EvmStorageSlot};

/// Index into [`Accesses::accounts`].
pub(super) type AccountIndex = u32;

/// Number of most recent accounts that are searched for the account of a slot. More than one,
/// because calls leave a contract and return to it.
const RECENT_ACCOUNTS: usize = 4;

/// The accounts and slots that a transaction accessed, each at least once, with their final values
/// if they have changed. Kept until the block ends, so size matters.
#[derive(Clone, Debug, Default)]
pub(in crate::evm) struct Accesses {
    pub(super) accounts: Vec<Address>,
    pub(super) balances: Vec<(AccountIndex, U256)>,
    pub(super) nonces: Vec<(AccountIndex, u64)>,
    pub(super) codes: Vec<(AccountIndex, Bytes)>,
    pub(super) reads: Vec<(AccountIndex, U256)>,
    pub(super) writes: Vec<(AccountIndex, U256, U256)>,
    /// Blind credits to the beneficiary and to the surcharge receiver, in wei. The recipient counts
    /// as accessed even if the credit is zero.
    pub(super) credits: [Option<U256>; 2],
}

/// Records of a transaction's accesses, kept until its block ends.
#[derive(Debug, Default)]
pub(in crate::evm) struct AccessRecords {
    /// All accesses, if an access list is being built.
    pub(in crate::evm) accesses: Option<Box<Accesses>>,
    /// Unchanged accounts and slots that the transaction accessed, as mark numbers of the block's
    /// own access list.
    pub(in crate::evm) marks: Box<[u32]>,
    /// The transaction's access outside its declaration, if any.
    pub(in crate::evm) undeclared: Option<Box<Undeclared>>,
}

impl AccessRecords {
    /// Sets the transaction's blind credits.
    pub(in crate::evm) fn set_credits(&mut self, credits: [Option<U256>; 2]) {
        if let Some(accesses) = &mut self.accesses {
            accesses.credits = credits;
        }
    }
}

/// The fields of an account that access lists contain; the code by its hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccountFields {
    pub(super) balance: U256,
    nonce: u64,
    code_hash: B256,
}

impl Default for AccountFields {
    fn default() -> Self {
        Self { balance: U256::ZERO, nonce: 0, code_hash: KECCAK256_EMPTY }
    }
}

impl AccountFields {
    pub(super) const fn of(info: &AccountInfo) -> Self {
        Self { balance: info.balance, nonce: info.nonce, code_hash: info.code_hash }
    }

    /// Fields of `account` before the transaction that left it in this state.
    pub(super) fn before(account: &Account) -> Self {
        match account.is_changed() {
            true => Self::of(&account.original_info()),
            false => Self::of(&account.info),
        }
    }
}

impl Accesses {
    /// Clears the accesses but keeps the allocations.
    pub(super) fn clear(&mut self) {
        let Self { accounts, balances, nonces, codes, reads, writes, credits } = self;
        accounts.clear();
        balances.clear();
        nonces.clear();
        codes.clear();
        reads.clear();
        writes.clear();
        *credits = Default::default();
    }

    fn next_index(&self) -> AccountIndex {
        AccountIndex::try_from(self.accounts.len()).unwrap_or(AccountIndex::MAX)
    }

    /// Index of an account that was probably added recently.
    fn recent_index(&mut self, address: Address) -> AccountIndex {
        let mut last = self.accounts.iter().rev().take(RECENT_ACCOUNTS);
        if let Some(back) = last.position(|account| *account == address) {
            return AccountIndex::try_from(self.accounts.len() - 1 - back)
                .unwrap_or(AccountIndex::MAX);
        }
        // Adding the account again is cheaper than a longer search.
        let account_index = self.next_index();
        self.accounts.push(address);
        account_index
    }

    /// Accesses of a transaction or system call whose own journal ended with `state`.
    #[cfg(feature = "alloy")]
    pub(in crate::evm) fn of_state(state: &revm::state::EvmState) -> Self {
        let mut accesses = Self::default();
        for (address, account) in state {
            accesses.add_account(*address, account, AccountFields::before(account));
            for (slot, value) in &account.storage {
                accesses.add_slot(*address, *slot, value, account);
            }
        }
        accesses
    }

    /// Changes in `list` at `index`, plus its accounts and slots, which have no index.
    #[cfg(feature = "alloy")]
    pub(in crate::evm) fn at(list: &[AccountChanges], index: BlockAccessIndex) -> Self {
        let mut accesses = Self::default();
        for account in list {
            let account_index = accesses.next_index();
            accesses.accounts.push(account.address);
            let balance = at_index(&account.balance_changes, index, |it| it.block_access_index);
            accesses.balances.extend(balance.map(|it| (account_index, it.post_balance)));
            let nonce = at_index(&account.nonce_changes, index, |it| it.block_access_index);
            accesses.nonces.extend(nonce.map(|it| (account_index, it.new_nonce)));
            let code = at_index(&account.code_changes, index, |it| it.block_access_index);
            accesses.codes.extend(code.map(|it| (account_index, it.new_code.clone())));
            accesses.reads.extend(account.storage_reads.iter().map(|slot| (account_index, *slot)));
            for slot in &account.storage_changes {
                match at_index(&slot.changes, index, |it| it.block_access_index) {
                    Some(change) => {
                        accesses.writes.push((account_index, slot.slot, change.new_value))
                    }
                    None => accesses.reads.push((account_index, slot.slot)),
                }
            }
        }
        accesses
    }

    /// Adds an account, which was `before` the transaction.
    pub(super) fn add_account(
        &mut self,
        address: Address,
        account: &Account,
        before: AccountFields,
    ) {
        // An untouched account counts as unchanged, because revm does not restore the sender's
        // balance after a transfer that overflows the recipient's. Ether that an account receives
        // after its destruction is destroyed with it.
        let (after, code) = match account.is_selfdestructed_locally() {
            _ if !account.is_touched() => (before, None),
            true => (AccountFields::default(), None),
            false => (AccountFields::of(&account.info), account.info.code.as_ref()),
        };
        self.add_change(address, before, after, code);
    }

    /// Adds an account with its fields before and after; `code` is its new code, if any. Returns
    /// its index.
    pub(super) fn add_change(
        &mut self,
        address: Address,
        before: AccountFields,
        after: AccountFields,
        code: Option<&Bytecode>,
    ) -> AccountIndex {
        let account_index = self.next_index();
        self.accounts.push(address);
        if before.balance != after.balance {
            self.balances.push((account_index, after.balance));
        }
        if before.nonce != after.nonce {
            self.nonces.push((account_index, after.nonce));
        }
        if before.code_hash != after.code_hash {
            self.codes
                .push((account_index, code.map(|code| code.original_bytes()).unwrap_or_default()));
        }
        account_index
    }

    /// Adds a slot of `account`.
    pub(super) fn add_slot(
        &mut self,
        address: Address,
        slot: U256,
        value: &EvmStorageSlot,
        account: &Account,
    ) {
        let account_index = self.recent_index(address);
        let is_gone = account.is_selfdestructed_locally();
        let after = if is_gone { U256::ZERO } else { value.present_value };
        self.add_values(account_index, slot, value.original_value, after);
    }

    /// Adds a slot, with its values, of the account at `account_index`.
    pub(super) fn add_values(
        &mut self,
        account_index: AccountIndex,
        slot: U256,
        before: U256,
        after: U256,
    ) {
        if before == after {
            self.reads.push((account_index, slot));
        } else {
            self.writes.push((account_index, slot, after));
        }
    }

    /// Removes the balance change of `address`. The balance is unknown, because the payment is a
    /// blind credit.
    pub(in crate::evm) fn forget_balance(&mut self, address: Address) {
        let accounts = &self.accounts;
        self.balances
            .retain(|(account_index, _)| accounts.get(*account_index as usize) != Some(&address));
    }

    /// Returns the first access, in order of address and slot, that `declared` does not contain.
    pub(in crate::evm) fn first_undeclared(&self, declared: &Declaration) -> Option<Undeclared> {
        let account = |index: &AccountIndex| {
            let address = *self.accounts.get(*index as usize)?;
            Some(DeclaredLocation { address, slot: None })
        };
        let slot = |index: &AccountIndex, slot: &U256| {
            Some(DeclaredLocation { slot: Some(*slot), ..account(index)? })
        };
        let changes_pass = mutant!(UndeclaredChangePasses);
        let wrong = |location: DeclaredLocation, is_write: bool| match declared.find(location) {
            None => Some(Undeclared { location, is_change: false }),
            Some(false) if is_write && !changes_pass => {
                Some(Undeclared { location, is_change: true })
            }
            Some(_) => None,
        };
        let accounts =
            self.accounts.iter().map(|address| DeclaredLocation { address: *address, slot: None });
        let read = accounts.chain(self.reads.iter().filter_map(|(of, key)| slot(of, key)));
        let changed = self.balances.iter().map(|(of, _)| of);
        let changed = changed.chain(self.nonces.iter().map(|(of, _)| of));
        let changed = changed.chain(self.codes.iter().map(|(of, _)| of)).filter_map(account);
        let written = self.writes.iter().filter_map(|(of, key, _)| slot(of, key));
        let reads = read.filter_map(|location| wrong(location, false));
        let writes = changed.chain(written).filter_map(|location| wrong(location, true));
        reads.chain(writes).min_by_key(|wrong| wrong.location)
    }
}
