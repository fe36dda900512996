//! The state of a block file as a database.

use super::{BlockFile, FieldError};
use crate::database::{Account, StateDatabase};
use alloy_primitives::{
    B256, KECCAK256_EMPTY, keccak256,
    map::{AddressMap, B256Map},
};
use revm::state::Bytecode;
use std::collections::BTreeMap;

/// The state before the block of a file. Codes that the file declares absent are empty, because
/// only an aborted speculative run can read one.
pub type FileDatabase = StateDatabase<BTreeMap<u64, B256>>;

impl FileDatabase {
    /// Takes the state out of `file`. Checks that each code has the hash under which it is listed,
    /// and that each code hash of an account is listed or declared absent.
    ///
    /// # Errors
    /// Returns the first field that breaks one of these rules.
    pub fn new(file: &BlockFile) -> Result<Self, FieldError> {
        let codes = check_codes(file)?;
        let mut accounts = AddressMap::default();
        for (address, account) in &file.pre_state {
            let code_hash = account.code_hash.unwrap_or(KECCAK256_EMPTY);
            let known = code_hash == KECCAK256_EMPTY
                || codes.contains_key(&code_hash)
                || file.meta.absent_codes.contains(&code_hash);
            if !known {
                return Err(FieldError::new(
                    format!("pre_state.{address:?}.code_hash"),
                    "a hash that `codes` has or `meta.absent_codes` lists",
                    code_hash.to_string(),
                ));
            }
            let storage = account.storage.iter().map(|(slot, value)| (*slot, *value)).collect();
            let entry =
                Account { balance: account.balance, nonce: account.nonce, code_hash, storage };
            accounts.insert(*address, entry);
        }
        let mut block_hashes = file.block_hashes.clone();
        if let Some(parent) = file.block.header.inner.number.checked_sub(1) {
            block_hashes.entry(parent).or_insert(file.block.header.inner.parent_hash);
        }
        Ok(Self::of_parts(accounts, codes, block_hashes))
    }
}

/// Compares the codes of `file` with their hashes, and analyses each once.
fn check_codes(file: &BlockFile) -> Result<B256Map<Bytecode>, FieldError> {
    let mut codes = B256Map::default();
    for (hash, code) in &file.codes {
        let found = keccak256(code);
        if found != *hash {
            return Err(FieldError::new(
                format!("codes.{hash}"),
                "a code with that Keccak-256 hash",
                format!("one with hash {found}"),
            ));
        }
        let bytecode = Bytecode::new_raw_checked(code.clone()).map_err(|error| {
            FieldError::new(format!("codes.{hash}"), "EVM code", error.to_string())
        })?;
        codes.insert(*hash, bytecode);
    }
    Ok(codes)
}
