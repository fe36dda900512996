//! Tracks which balances the transactions of a journal have read.
//!
//! revm loads an account whole, but most transactions that call a contract do not depend on its
//! balance: each swap of ether for a token changes the balance of the wrapper contract, and each
//! swap of tokens calls that contract. So the balance of an account with code counts as read only
//! once an instruction may have read it: every instruction that moves ether or reads a balance
//! announces it first (see `opcodes` and `handler`). Until then the journal holds whatever balance
//! was there when the account was loaded. The same holds for payees, accounts without code that
//! many transactions pay, when a transaction only pays them.

use crate::sync::{AtomicU64, SeqCst};
use alloy_primitives::map::{AddressMap, AddressSet};
use alloy_primitives::{Address, U256};

/// Set of the accounts with code whose balances some run of this block has changed. A Bloom-like
/// bit set: it may also report other accounts.
#[derive(Debug, Default)]
pub(in crate::evm) struct Moved([AtomicU64; Self::WORDS]);

impl Moved {
    pub(in crate::evm) const WORDS: usize = 16;

    /// Word and bit of `address` among [`WORDS`](Self::WORDS) words.
    pub(in crate::evm) fn place(address: Address) -> (usize, u64) {
        let [.., high, low] = address.into_array();
        (usize::from(high) % Self::WORDS, 1 << (low % 64))
    }

    /// Adds `address`. Must be called before the balance is published.
    pub(super) fn add(&self, address: Address) {
        let (word, bit) = Self::place(address);
        if let Some(word) = self.0.get(word) {
            word.fetch_or(bit, SeqCst);
        }
    }

    /// Whether `address` may be in the set.
    pub(super) fn may_have(&self, address: Address) -> bool {
        let (word, bit) = Self::place(address);
        self.0.get(word).is_none_or(|word| word.load(SeqCst) & bit != 0)
    }
}

/// A balance that the journal holds and that no instruction has read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unseen {
    /// The balance in the journal.
    pub(super) loaded: U256,
    /// The balance before the block.
    pub(super) base: U256,
}

/// Accounts whose balances may stay unread, because each instruction that reads one announces it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Announced {
    #[default]
    None,
    /// The [payees](super::payees::Payees).
    Payees,
    /// The payees and all accounts with code.
    All,
}

/// Which balances of one journal have been read.
#[derive(Debug, Default)]
pub(super) struct Balances {
    announced: Announced,
    // A map, as a transaction may read thousands of balances, each many times.
    unseen: AddressMap<Unseen>,
    /// Accounts whose balance counts as read when they are loaded.
    counted: AddressSet,
}

impl Balances {
    /// Sets the accounts whose balance reads are announced from now on.
    pub(super) const fn set_announced(&mut self, announced: Announced) {
        self.announced = announced;
    }

    /// Whether balances of accounts with code may stay unread.
    pub(super) const fn are_all_announced(&self) -> bool {
        matches!(self.announced, Announced::All)
    }

    /// Resets the record at the end of a journal.
    pub(super) fn clear(&mut self) {
        self.unseen.clear();
        self.counted.clear();
    }

    /// Whether the balance of `address` may stay unread: reads are announced, and none has been.
    pub(super) fn may_go_unseen(&self, address: Address) -> bool {
        self.announced != Announced::None && !self.counted.contains(&address)
    }

    /// Records that the account was loaded and that no instruction has read its balance.
    pub(super) fn leave_unseen(&mut self, address: Address, loaded: U256, base: U256) {
        self.unseen.insert(address, Unseen { loaded, base });
    }

    /// The balance of `address`, if the journal holds it and no instruction has read it.
    pub(super) fn unseen(&self, address: Address) -> Option<Unseen> {
        self.unseen.get(&address).copied()
    }

    /// Counts the balance of `address` as read. Returns the unread balance in the journal if this
    /// is the first read.
    pub(super) fn count(&mut self, address: Address) -> Option<Unseen> {
        if self.announced == Announced::None {
            return None;
        }
        let unseen = self.unseen.remove(&address);
        if unseen.is_none() {
            self.counted.insert(address);
        }
        unseen
    }
}
