//! The state of a test as a database.

use super::read::{self, Number};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use braid_blocks::database::{BlockHashes, StateDatabase};
use braid_blocks::hooked::{Hooked, Read};
use braid_blocks::state_root::{PlainAccount, PlainState};
use revm::state::Bytecode;
use serde::Deserialize;
use std::{collections::BTreeMap, convert::Infallible, thread};

/// Accounts as listed in a test.
pub(super) type Accounts = BTreeMap<Address, Account>;

/// An account as listed in a test.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    balance: Number,
    #[serde(default)]
    nonce: Number,
    #[serde(default, deserialize_with = "read::bytes")]
    code: Bytes,
    #[serde(default, deserialize_with = "read::storage")]
    storage: Vec<(U256, U256)>,
}

/// Returns the state that consists of `accounts`.
pub(super) fn state(accounts: &Accounts) -> PlainState {
    let mut state = PlainState::default();
    for (address, account) in accounts {
        // Code that looks like a malformed delegation was not created by one, and is plain code.
        let code = Bytecode::new_raw_checked(account.code.clone());
        let plain = PlainAccount {
            balance: account.balance.saturating(),
            nonce: account.nonce.to_u64().unwrap_or(u64::MAX),
            code: code.unwrap_or_else(|_| Bytecode::new_legacy(account.code.clone())),
            storage: account.storage.iter().copied().collect(),
        };
        state.insert(*address, plain);
    }
    state
}

/// Returns the first account of `listed` that differs in `state`. Slots that are not listed are not
/// compared.
pub(super) fn difference(listed: &Accounts, state: &PlainState) -> Option<String> {
    let none = PlainAccount::default();
    let wanted = self::state(listed);
    // An empty account may be absent.
    listed.keys().find_map(|address| {
        let (wanted, found) = (wanted.get(address)?, state.get(address).unwrap_or(&none));
        let of = |what: &str| Some(format!("{what} of {address}"));
        if wanted.balance != found.balance {
            return of("balance");
        }
        if wanted.nonce != found.nonce {
            return of("nonce");
        }
        if wanted.code_hash() != found.code_hash() {
            return of("code");
        }
        let listed = listed.get(address)?.storage.iter();
        let is_same = |(slot, value): &&(U256, U256)| {
            *value == found.storage.get(slot).copied().unwrap_or_default()
        };
        let slot = listed.filter(|it| !is_same(it)).map(|(slot, _)| *slot).next()?;
        of(&format!("slot {slot:#x}"))
    })
}

/// A whole state and the hashes of earlier blocks, shared by its clones.
pub type SuiteDatabase = StateDatabase<SuiteHashes>;

/// Hashes of earlier blocks.
#[derive(Clone, Debug)]
pub enum SuiteHashes {
    /// Hashes of a chain, by number; 0 for all others.
    Of(BTreeMap<u64, B256>),
    /// Hashes in state tests, which have no chain: the hash of the decimal number.
    OfNumbers,
}

impl BlockHashes for SuiteHashes {
    type Error = Infallible;

    fn hash_of(&self, number: u64) -> Result<B256, Infallible> {
        match self {
            Self::Of(hashes) => hashes.hash_of(number),
            Self::OfNumbers => Ok(keccak256(number.to_string())),
        }
    }
}

/// Wraps `database` so that it yields to other threads at every read of an account or slot.
/// Transactions then overlap even if there are fewer cores than workers.
pub(super) fn yielding(database: &SuiteDatabase) -> Hooked<SuiteDatabase> {
    Hooked::watched(database.clone(), |read| {
        if matches!(read, Read::Account(_) | Read::Slot(..)) {
            thread::yield_now();
        }
    })
}
