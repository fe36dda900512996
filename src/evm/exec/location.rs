//! Locations of Ethereum's state and their values.

use crate::evm::fees::reward::Reward;
use crate::mv::Location;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use core::hash::{Hash, Hasher};
use revm::state::{AccountInfo, Bytecode};

/// An addressable piece of Ethereum's state. Code has its own location, because few accounts have
/// code, and their nonces and balances change without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::evm) enum EvmLocation {
    /// Whether the account exists, its balance and nonce, and whether it has code.
    Account(Address),
    /// Code hash and code, of an account that has code.
    Code(Address),
    /// Balance of an account that has code: most callers of a contract neither read nor change it.
    /// The balance of an account that receives blind credits stays in [`Account`](Self::Account),
    /// and a value here means that the account can no longer be paid with a [blind
    /// credit](Account::is_plain).
    Balance(Address),
    /// One storage slot.
    Storage(Address, U256),
    /// Tombstones of the account, each of which deletes its storage.
    Lifecycle(Address),
}

// Hashing whole words takes a third of the time of the derived implementation, which hashes byte
// slices with their lengths.
impl Hash for EvmLocation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (kind, address, slot) = match self {
            Self::Account(address) => (0_u64, address, None),
            Self::Code(address) => (1, address, None),
            Self::Storage(address, slot) => (2, address, Some(slot)),
            Self::Lifecycle(address) => (3, address, None),
            Self::Balance(address) => (4, address, None),
        };
        let (words, tail) = address.as_slice().as_chunks::<8>();
        for word in words {
            state.write_u64(u64::from_le_bytes(*word));
        }
        let tail = tail.iter().fold(kind, |word, byte| (word << 8) | u64::from(*byte));
        state.write_u64(tail);
        for limb in slot.into_iter().flat_map(|slot| slot.as_limbs()) {
            state.write_u64(*limb);
        }
    }
}

/// Value of a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::evm) enum EvmValue {
    /// An account; `None` if it does not exist. Absent, empty and zero are different values.
    Account(Option<Account>),
    /// Code of an account.
    Code(Code),
    /// Balance of an account, in wei.
    Balance(U256),
    /// Value of a storage slot.
    Slot(U256),
    /// Placeholder for a lifecycle, which has no value: only its tombstones count.
    Life,
}

/// Maximum of a blind credit, in wei, and maximum balance of an account that receives one. The
/// payments of a block are fewer than 2^32, so their sum never overflows.
pub(super) const MAX_BLIND_CREDIT: U256 = U256::from_limbs([u64::MAX, u64::MAX, 0, 0]);

/// An account without its code.
#[derive(Clone, Copy, Debug)]
pub(in crate::evm) struct Account {
    /// In wei. The balance before the block if the account has code: see [`EvmLocation::Balance`].
    pub(super) balance: U256,
    pub(super) nonce: u64,
    /// Whether it has code, at [`EvmLocation::Code`]. No location records whether revm has loaded
    /// the empty code: each transaction starts without it, and [`AccountChange`] tells the bundle.
    ///
    /// [`AccountChange`]: super::change::AccountChange
    pub(super) has_code: bool,
}

impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        self.nonce == other.nonce
            && self.has_code == other.has_code
            && (self.has_code || self.balance == other.balance)
    }
}

impl Eq for Account {}

impl Account {
    pub(in crate::evm) fn of(info: &AccountInfo) -> Self {
        let has_code = !info.is_empty_code_hash();
        Self { balance: info.balance, nonce: info.nonce, has_code }
    }

    /// The complete account info; `None` if the account has code.
    pub(super) fn without_code(self) -> Option<AccountInfo> {
        let Self { balance, nonce, has_code } = self;
        (!has_code).then_some(AccountInfo {
            balance,
            nonce,
            code_hash: KECCAK256_EMPTY,
            code: None,
            account_id: None,
        })
    }

    /// Whether a transfer to it can be recorded as a blind credit: it has no code to run, is not
    /// deleted as empty, and its balance leaves room for all payments of a block.
    pub(super) fn is_plain(self) -> bool {
        !self.has_code && !self.is_empty() && self.balance <= MAX_BLIND_CREDIT
    }

    /// Whether it is empty as defined by EIP-161.
    pub(super) fn is_empty(self) -> bool {
        self.is_blank() && self.balance.is_zero()
    }

    /// Whether it has neither nonce nor code, like `AccountInfo::has_no_code_and_nonce`.
    pub(super) const fn is_blank(self) -> bool {
        self.nonce == 0 && !self.has_code
    }
}

/// The code of an account.
#[derive(Clone, Debug)]
pub(in crate::evm) struct Code {
    pub(super) hash: B256,
    /// The code, if it is known. Once a hash has been read with its code, the code stays.
    pub(super) code: Option<Bytecode>,
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        // The hash identifies the code.
        self.hash == other.hash
    }
}

impl Eq for Code {}

impl Default for Code {
    fn default() -> Self {
        // As in revm's `AccountInfo::default`, the empty code counts as known.
        Self { hash: KECCAK256_EMPTY, code: Some(Bytecode::default()) }
    }
}

impl Code {
    pub(super) fn of(info: &AccountInfo) -> Self {
        Self { hash: info.code_hash, code: info.code.clone() }
    }
}

impl Location for EvmLocation {
    type Value = EvmValue;
    type Delta = Reward;

    fn scope(&self) -> Option<Self> {
        match self {
            Self::Storage(address, _) => Some(Self::Lifecycle(*address)),
            Self::Account(_) | Self::Code(_) | Self::Balance(_) | Self::Lifecycle(_) => None,
        }
    }

    fn is_scope(&self) -> bool {
        matches!(self, Self::Lifecycle(_))
    }

    fn destroyed(&self) -> EvmValue {
        match self {
            Self::Account(_) => EvmValue::Account(None),
            Self::Code(_) => EvmValue::Code(Code::default()),
            Self::Balance(_) => EvmValue::Balance(U256::ZERO),
            Self::Storage(..) => EvmValue::Slot(U256::ZERO),
            Self::Lifecycle(_) => EvmValue::Life,
        }
    }

    fn fold(value: &mut EvmValue, reward: &Reward) {
        let EvmValue::Account(account) = value else { return };
        let balance = reward.apply(account.map(|account| account.balance));
        let new = Account { balance: U256::ZERO, nonce: 0, has_code: false };
        *account = balance.map(|balance| Account { balance, ..account.unwrap_or(new) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mv::Store;

    const SHARDS: usize = 64;
    const LOCATIONS_PER_SHARD: u64 = 128;

    fn address(place: usize, number: u64) -> Address {
        let mut bytes = [0xaa; 20];
        bytes[place..place + 8].copy_from_slice(&number.to_be_bytes());
        Address::from(bytes)
    }

    /// An attacker who does not know the store's seed chooses keys that differ in a few bits only.
    #[test]
    fn alike_keys_spread_over_the_shards_and_elsewhere_in_each_store() {
        let stores = [(); 2].map(|()| Store::<EvmLocation>::new(SHARDS));
        let slot = |number: u64, shift: usize| {
            EvmLocation::Storage(Address::ZERO, U256::from(number) << shift)
        };
        let families: [(&str, &dyn Fn(u64) -> EvmLocation); 7] = [
            ("low bits of slots", &|number| slot(number, 0)),
            ("middle bits of slots", &|number| slot(number, 100)),
            ("topmost bits of slots", &|number| slot(number, 243)),
            ("low bytes of accounts", &|number| EvmLocation::Account(address(12, number))),
            ("topmost bytes of accounts", &|number| EvmLocation::Account(address(0, number << 50))),
            ("one slot of many", &|number| EvmLocation::Storage(address(6, number), U256::ONE)),
            ("address and slot", &|number| {
                EvmLocation::Storage(address(12, number), U256::from(number))
            }),
        ];
        for (name, location) in families {
            let mut counts = [[0_u64; SHARDS]; 2];
            let mut same = 0;
            for number in 0..LOCATIONS_PER_SHARD * SHARDS as u64 {
                let location = location(number);
                let found = [0, 1].map(|at: usize| stores[at].shard_of(&location));
                same += u64::from(found[0] == found[1]);
                counts[0][found[0] as usize] += 1;
                counts[1][found[1] as usize] += 1;
            }
            let most = counts.iter().flatten().max().copied();
            // A hash of a few multiplications is not perfectly uniform.
            assert!(most < Some(4 * LOCATIONS_PER_SHARD), "{name}: {counts:?}");
            let all = LOCATIONS_PER_SHARD * SHARDS as u64;
            assert!(same < all / 4, "{name}: {same} are in the same shard of both stores");
        }
    }
}
