//! The locations of Ethereum's state and what they hold.

use super::mutants::{EvmMutant, is_evm_mutant};
use crate::mv::Location;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use core::hash::{Hash, Hasher};
use revm::state::{AccountInfo, Bytecode};

/// One addressable piece of Ethereum's state. Balance is apart from nonce and code, so that a
/// deposit into a contract does not conflict with every call of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EvmLocation {
    /// Whether the account exists, and its balance.
    Balance(Address),
    /// Nonce, code hash and code.
    NonceCode(Address),
    /// One storage slot.
    Storage(Address, U256),
    /// Tombstones of the account: they end the life of its storage.
    Lifecycle(Address),
}

// The derived one hashes byte slices with their lengths; whole words cost a third of that.
impl Hash for EvmLocation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (kind, address, slot) = match self {
            Self::Balance(address) => (0_u64, address, None),
            Self::NonceCode(address) => (1, address, None),
            Self::Storage(address, slot) => (2, address, Some(slot)),
            Self::Lifecycle(address) => (3, address, None),
        };
        let (words, rest) = address.as_slice().as_chunks::<8>();
        for word in words {
            state.write_u64(u64::from_le_bytes(*word));
        }
        let rest = rest.iter().fold(kind, |rest, byte| (rest << 8) | u64::from(*byte));
        state.write_u64(rest);
        for limb in slot.into_iter().flat_map(|slot| slot.as_limbs()) {
            state.write_u64(*limb);
        }
    }
}

/// What a location holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EvmValue {
    /// Wei, or `None` where there is no account: absent, empty and zero differ.
    Balance(Option<U256>),
    /// Nonce and code.
    NonceCode(NonceCode),
    /// Content of a slot.
    Slot(U256),
    /// A lifecycle has no value: only its tombstones count.
    Life,
}

/// Nonce and code of an account.
#[derive(Clone, Debug)]
pub(super) struct NonceCode {
    pub(super) nonce: u64,
    pub(super) code_hash: B256,
    /// The code, wherever it is known: a hash once seen never lacks its code.
    pub(super) code: Option<Bytecode>,
}

impl PartialEq for NonceCode {
    fn eq(&self, other: &Self) -> bool {
        // The hash stands for the code.
        self.nonce == other.nonce && self.code_hash == other.code_hash
    }
}

impl Eq for NonceCode {}

impl Default for NonceCode {
    fn default() -> Self {
        // As in revm's `AccountInfo::default`: the empty code is known.
        Self { nonce: 0, code_hash: KECCAK256_EMPTY, code: Some(Bytecode::default()) }
    }
}

impl NonceCode {
    pub(super) fn of(info: &AccountInfo) -> Self {
        Self { nonce: info.nonce, code_hash: info.code_hash, code: info.code.clone() }
    }

    /// Neither nonce nor code, as `AccountInfo::has_no_code_and_nonce` has it.
    pub(super) fn is_blank(&self) -> bool {
        self.nonce == 0 && self.code_hash == KECCAK256_EMPTY
    }
}

/// A fee for the beneficiary that nobody had to read the balance for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reward {
    pub(super) amount: U256,
    /// Whether the touch alone creates the account: before EIP-161.
    pub(super) touch_creates: bool,
    /// A bug to seed, for tests of the tests.
    pub(super) mutant: EvmMutant,
}

impl Reward {
    /// Adds the reward, or drops it where it would overflow, as revm does.
    pub(super) fn apply(self, balance: Option<U256>) -> Option<U256> {
        match balance {
            Some(balance) => Some(match balance.checked_add(self.amount) {
                Some(sum) => sum,
                None if is_evm_mutant!(self.mutant, RewardOverflowFills) => U256::MAX,
                None => balance,
            }),
            None if self.amount.is_zero() && !self.touch_creates => None,
            None => Some(self.amount),
        }
    }
}

impl Location for EvmLocation {
    type Value = EvmValue;
    type Delta = Reward;

    fn scope(&self) -> Option<Self> {
        match self {
            Self::Storage(address, _) => Some(Self::Lifecycle(*address)),
            Self::Balance(_) | Self::NonceCode(_) | Self::Lifecycle(_) => None,
        }
    }

    fn is_scope(&self) -> bool {
        matches!(self, Self::Lifecycle(_))
    }

    fn destroyed(&self) -> EvmValue {
        match self {
            Self::Balance(_) => EvmValue::Balance(None),
            Self::NonceCode(_) => EvmValue::NonceCode(NonceCode::default()),
            Self::Storage(..) => EvmValue::Slot(U256::ZERO),
            Self::Lifecycle(_) => EvmValue::Life,
        }
    }

    fn fold(value: &mut EvmValue, reward: &Reward) {
        if let EvmValue::Balance(balance) = value {
            *balance = reward.apply(*balance);
        }
    }
}
