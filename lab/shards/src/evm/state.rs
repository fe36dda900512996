//! The state of accounts as keys and values.

use crate::order::ShardId;
use revm::primitives::{Address, B256, KECCAK_EMPTY, U256};
use revm::state::{AccountInfo, Bytecode};

/// Key of a piece of the state, which belongs to the shard of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvmKey {
    /// An account without its storage.
    Account(Address),
    /// A slot of an account.
    Slot(Address, U256),
    /// Fees that the transactions of senders on this shard have paid to the beneficiary. They are
    /// part of its balance; each shard counts its own, so that no other shard takes part in a
    /// transaction only for its fee.
    Fees(ShardId),
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountValue {
    /// Whether it exists, without regard to fees.
    pub exists: bool,
    /// Its balance; that of the beneficiary is this plus all fees, modulo 2^256.
    pub balance: U256,
    /// Its nonce.
    pub nonce: u64,
    /// Hash of its code.
    pub code_hash: B256,
    /// Its code, if it has any. Messages carry the hash: shards store codes by hash.
    pub code: Option<Bytecode>,
    /// How often its storage was cleared.
    pub life: u32,
}

impl Default for AccountValue {
    fn default() -> Self {
        let (balance, code_hash) = (U256::ZERO, KECCAK_EMPTY);
        Self { exists: false, balance, nonce: 0, code_hash, code: None, life: 0 }
    }
}

impl AccountValue {
    /// Converts an account of a database.
    #[must_use]
    pub fn new(info: Option<AccountInfo>) -> Self {
        let Some(info) = info else { return Self::default() };
        Self {
            exists: true,
            balance: info.balance,
            nonce: info.nonce,
            code_hash: info.code_hash,
            code: info.code.filter(|code| !code.is_empty()),
            life: 0,
        }
    }

    /// Returns whether the account is empty, without regard to fees.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.balance.is_zero() && self.nonce == 0 && self.code_hash == KECCAK_EMPTY
    }

    /// Converts the account for the EVM, with `fees` added to its balance.
    #[must_use]
    pub fn info(&self, fees: U256) -> Option<AccountInfo> {
        (self.exists || !fees.is_zero()).then(|| AccountInfo {
            balance: self.balance.wrapping_add(fees),
            nonce: self.nonce,
            code_hash: self.code_hash,
            code: Some(self.code.clone().unwrap_or_default()),
            ..AccountInfo::default()
        })
    }
}

/// Value at a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum EvmValue {
    /// An account that does not exist, a slot of zero, no fees.
    #[default]
    Nothing,
    /// An account.
    Account(AccountValue),
    /// A slot.
    Slot {
        /// Its value.
        value: U256,
        /// The life of the account in which it was written.
        life: u32,
    },
    /// Fees.
    Fees(U256),
}

impl EvmValue {
    /// Returns the account, or an absent one if the value is none.
    #[must_use]
    pub fn account(&self) -> AccountValue {
        match self {
            Self::Account(account) => account.clone(),
            _ => AccountValue::default(),
        }
    }

    /// Returns the slot's value in this life of its account.
    #[must_use]
    pub fn slot(&self, now: u32) -> U256 {
        match self {
            Self::Slot { value, life } if *life == now => *value,
            _ => U256::ZERO,
        }
    }

    /// Returns the fees.
    #[must_use]
    pub const fn fees(&self) -> U256 {
        match self {
            Self::Fees(fees) => *fees,
            _ => U256::ZERO,
        }
    }
}

/// A blind delta, added without a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvmDelta {
    /// Added to fees.
    Fee(U256),
    /// Added to a balance: a withdrawal or a reward.
    Credit(U256),
}

impl EvmDelta {
    /// Adds the delta to `value`.
    pub(crate) fn add_to(self, value: &mut EvmValue) {
        match self {
            Self::Fee(fee) => *value = EvmValue::Fees(value.fees().wrapping_add(fee)),
            Self::Credit(credit) => {
                let mut account = value.account();
                account.balance = account.balance.wrapping_add(credit);
                // Adding zero is a touch, and a touch deletes an empty account (EIP-161).
                account.exists = !credit.is_zero() || !account.is_empty();
                *value = EvmValue::Account(account);
            }
        }
    }
}
