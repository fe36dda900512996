//! Whose balance a journal has seen.
//!
//! revm loads an account whole, and most who call a contract do not care what it owns: every
//! exchange of ether for a token changes the balance of the contract that wraps it, and every
//! exchange of tokens calls that contract. So the balance of an account with code counts as read
//! only once an instruction may have looked at it: whatever moves ether or asks for a balance says
//! so first (see `opcodes` and `handler`). Until then the journal holds whatever was there when the
//! account was loaded. So it is with accounts without code that many pay, for who pays them.

use crate::sync::{AtomicU64, SeqCst};
use alloy_primitives::map::{AddressMap, AddressSet};
use alloy_primitives::{Address, U256};

/// Accounts with code whose balance some run of this block has changed, and others that fall into
/// the same places.
#[derive(Debug, Default)]
pub(in crate::evm) struct Moved([AtomicU64; Self::WORDS]);

impl Moved {
    pub(in crate::evm) const WORDS: usize = 16;

    /// The word and the bit of `address` among [`WORDS`](Self::WORDS) words.
    pub(in crate::evm) fn place(address: Address) -> (usize, u64) {
        let [.., high, low] = address.into_array();
        (usize::from(high) % Self::WORDS, 1 << (low % 64))
    }

    /// To be told before the balance is published.
    pub(super) fn add(&self, address: Address) {
        let (word, bit) = Self::place(address);
        if let Some(word) = self.0.get(word) {
            word.fetch_or(bit, SeqCst);
        }
    }

    /// Whether `address` may be among them.
    pub(super) fn may_have(&self, address: Address) -> bool {
        let (word, bit) = Self::place(address);
        self.0.get(word).is_none_or(|word| word.load(SeqCst) & bit != 0)
    }
}

/// A balance that no instruction has looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unseen {
    /// What the journal holds.
    pub(super) loaded: U256,
    /// What it was before the block.
    pub(super) base: U256,
}

/// Whose balances may go unseen, as each instruction that looks at one says so first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Announced {
    #[default]
    None,
    /// Those of the [payees](super::payees::Payees).
    Payees,
    /// Theirs, and those of accounts with code.
    All,
}

/// What is known of the balances in one journal.
#[derive(Debug, Default)]
pub(super) struct Balances {
    announced: Announced,
    // A transaction may ask for thousands of balances, again and again.
    unseen: AddressMap<Unseen>,
    /// Accounts whose balance counts, however they are loaded.
    counted: AddressSet,
}

impl Balances {
    /// From now on each instruction that looks at one of these balances says so first.
    pub(super) const fn set_announced(&mut self, announced: Announced) {
        self.announced = announced;
    }

    /// Whether the balances of accounts with code may go unseen.
    pub(super) const fn are_all_announced(&self) -> bool {
        matches!(self.announced, Announced::All)
    }

    /// The journal is at an end.
    pub(super) fn clear(&mut self) {
        self.unseen.clear();
        self.counted.clear();
    }

    /// Whether no instruction has said that it looks at the balance of `address`.
    pub(super) fn may_go_unseen(&self, address: Address) -> bool {
        self.announced != Announced::None && !self.counted.contains(&address)
    }

    /// The account was loaded, and no instruction has looked at its balance.
    pub(super) fn leave_unseen(&mut self, address: Address, loaded: U256, base: U256) {
        self.unseen.insert(address, Unseen { loaded, base });
    }

    /// The balance of `address`, if the journal has it and no instruction has looked at it.
    pub(super) fn unseen(&self, address: Address) -> Option<Unseen> {
        self.unseen.get(&address).copied()
    }

    /// The balance of `address` counts. Returns what the journal holds, if this is the first look.
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
