//! Tracks which balances the transactions of a journal have read.
//!
//! revm loads an account whole, but most transactions that call a contract do not depend on its
//! balance: each swap of ether for a token changes the balance of the wrapper contract, and each
//! swap of tokens calls that contract. So the balance of an account with code counts as read only
//! once an instruction may have read it: every instruction that moves ether or reads a balance
//! announces the read first (see `opcodes` and `handler`). Until then the journal holds the balance
//! from when the account was loaded. The same holds for payees (accounts without code that many
//! transactions pay) while a transaction only pays them.

use crate::sync::{AtomicU64, SeqCst};
use alloy_primitives::map::{AddressMap, AddressSet};
use alloy_primitives::{Address, U256};

/// Bloom filter of the accounts with code whose balances some run of this block has changed.
#[derive(Debug, Default)]
pub(in crate::evm) struct ChangedBalances([AtomicU64; Self::WORDS]);

impl ChangedBalances {
    pub(in crate::evm) const WORDS: usize = 16;

    /// Word and bit of `address` among [`WORDS`](Self::WORDS) words.
    pub(in crate::evm) fn word_and_bit(address: Address) -> (usize, u64) {
        let [.., high, low] = address.into_array();
        (usize::from(high) % Self::WORDS, 1 << (low % 64))
    }

    /// Adds `address`. Must be called before the balance is published.
    pub(super) fn add(&self, address: Address) {
        let (word, bit) = Self::word_and_bit(address);
        if let Some(word) = self.0.get(word) {
            word.fetch_or(bit, SeqCst);
        }
    }

    /// Whether `address` may be in the set.
    pub(super) fn may_have(&self, address: Address) -> bool {
        let (word, bit) = Self::word_and_bit(address);
        self.0.get(word).is_none_or(|word| word.load(SeqCst) & bit != 0)
    }
}

/// A balance in the journal that no instruction has read.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnreadBalance {
    /// The balance in the journal.
    pub(super) loaded: U256,
    /// The balance before the block.
    pub(super) base: U256,
}

/// Accounts whose balance reads are announced, so that their balances may stay unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Announced {
    #[default]
    None,
    /// The [payees](super::payees::Payees).
    Payees,
    /// The payees and all accounts with code.
    All,
}

/// Tracks which balances of one journal have been read.
#[derive(Debug, Default)]
pub(super) struct Balances {
    announced: Announced,
    // A map, because a transaction may read thousands of balances, each many times.
    unread: AddressMap<UnreadBalance>,
    /// Accounts whose balance counts as read when they are loaded.
    read_on_load: AddressSet,
}

impl Balances {
    /// Sets the accounts whose balance reads are announced from now on.
    pub(super) const fn set_announced(&mut self, announced: Announced) {
        self.announced = announced;
    }

    /// Whether balances of accounts with code may stay unread.
    pub(super) const fn announces_all(&self) -> bool {
        matches!(self.announced, Announced::All)
    }

    /// Resets the record at the end of a journal.
    pub(super) fn clear(&mut self) {
        self.unread.clear();
        self.read_on_load.clear();
    }

    /// Whether the balance of `address` may stay unread: its reads are announced, and none has
    /// been.
    pub(super) fn may_stay_unread(&self, address: Address) -> bool {
        self.announced != Announced::None && !self.read_on_load.contains(&address)
    }

    /// Records that the account is loaded and that no instruction has read its balance.
    pub(super) fn insert_unread(&mut self, address: Address, loaded: U256, base: U256) {
        self.unread.insert(address, UnreadBalance { loaded, base });
    }

    /// The unread balance of `address`; `None` if it was read or is not in the journal.
    pub(super) fn unread(&self, address: Address) -> Option<UnreadBalance> {
        self.unread.get(&address).copied()
    }

    /// Marks the balance of `address` as read. Returns the balance in the journal if it was unread.
    pub(super) fn mark_read(&mut self, address: Address) -> Option<UnreadBalance> {
        if self.announced == Announced::None {
            return None;
        }
        let unread = self.unread.remove(&address);
        if unread.is_none() {
            self.read_on_load.insert(address);
        }
        unread
    }
}
