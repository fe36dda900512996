//! Encoding of the store's records. Fixed fields are big-endian, so that keys sort by number.

use crate::StoreError;
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use alloy_rlp::{Decodable, Header as RlpHeader};
use revm::state::AccountInfo;

/// Version of the layout of all tables. A store with a different version is not opened, except
/// version 2, which the first block that is written converts.
pub const SCHEMA: u32 = 3;

/// Version whose stores can still be opened: it has the trie nodes of the last block.
pub(crate) const FORMER_SCHEMA: u32 = 2;

pub(crate) const SCHEMA_KEY: &[u8] = b"schema";
pub(crate) const HEAD_KEY: &[u8] = b"head";
pub(crate) const GENESIS_KEY: &[u8] = b"genesis";
pub(crate) const STATE_ROOT_KEY: &[u8] = b"state-root";
/// Key of the block whose trie nodes the store has; missing in stores of schema 2, which have those
/// of the last block.
pub(crate) const NODES_HEAD_KEY: &[u8] = b"nodes-head";
/// Key of the block that the chain began with; missing in folders of earlier versions.
pub(crate) const FIRST_KEY: &[u8] = b"first";
/// Key of the last block's header in RLP. If a later block was written without its header, the
/// record is that of an earlier block.
pub(crate) const HEADER_KEY: &[u8] = b"header";

/// Decodes only the header of a block in RLP.
pub(crate) fn header_of(mut block: &[u8]) -> Result<Header, alloy_rlp::Error> {
    let mut fields = RlpHeader::decode_bytes(&mut block, true)?;
    Header::decode(&mut fields)
}

/// Number and hash of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// Number of the block.
    pub number: u64,
    /// Hash of the block.
    pub hash: B256,
}

impl Head {
    pub(crate) fn encode(self) -> Vec<u8> {
        [&self.number.to_be_bytes()[..], self.hash.as_slice()].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(bytes);
        let head = Self { number: fields.number()?, hash: fields.hash()? };
        fields.end(head)
    }
}

/// The block that a chain began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstBlock {
    /// The block.
    pub head: Head,
    /// State root after the block, if it was given or computed.
    pub state_root: Option<B256>,
}

impl FirstBlock {
    pub(crate) fn encode(self) -> Vec<u8> {
        let root = self.state_root.map(|root| root.to_vec()).unwrap_or_default();
        [self.head.encode(), root].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(bytes);
        let head = Head { number: fields.number()?, hash: fields.hash()? };
        let state_root = (!fields.0.is_empty()).then(|| fields.hash()).transpose()?;
        fields.end(Self { head, state_root })
    }
}

/// An account without its storage. The code is stored separately, by hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Number of transactions sent; for a contract, one plus the number of contracts it created.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Keccak-256 hash of the code; the hash of no bytes if there is no code.
    pub code_hash: B256,
}

impl From<&AccountInfo> for AccountRecord {
    fn from(info: &AccountInfo) -> Self {
        // revm uses either hash for an account without code.
        let code_hash = if info.code_hash.is_zero() { KECCAK256_EMPTY } else { info.code_hash };
        Self { nonce: info.nonce, balance: info.balance, code_hash }
    }
}

impl From<AccountRecord> for AccountInfo {
    fn from(record: AccountRecord) -> Self {
        Self {
            balance: record.balance,
            nonce: record.nonce,
            code_hash: record.code_hash,
            account_id: None,
            code: None,
        }
    }
}

impl AccountRecord {
    /// The record as which a missing account reads.
    pub(crate) const fn empty() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }

    /// Whether nonce and code are empty, so that a contract may be created at the address.
    pub(crate) fn is_blank(self) -> bool {
        self.nonce == 0 && self.code_hash == KECCAK256_EMPTY
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(73);
        let has_code = self.code_hash != KECCAK256_EMPTY;
        bytes.push(u8::from(has_code));
        bytes.extend(self.nonce.to_be_bytes());
        if has_code {
            bytes.extend(self.code_hash);
        }
        bytes.extend(self.balance.to_be_bytes_trimmed_vec());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(bytes);
        let has_code = match fields.take::<1>()? {
            [0] => false,
            [1] => true,
            [other] => return Err(StoreError::damaged(format!("an account's flag is {other}"))),
        };
        let nonce = fields.number()?;
        let code_hash = if has_code { fields.hash()? } else { KECCAK256_EMPTY };
        Ok(Self { nonce, code_hash, balance: number_256(fields.0)? })
    }
}

/// Key of a slot in its table.
pub(crate) fn slot_key(address: Address, slot: U256) -> Vec<u8> {
    [address.as_slice(), &slot.to_be_bytes::<32>()].concat()
}

pub(crate) fn slot_of_key(key: &[u8]) -> Result<(Address, U256), StoreError> {
    let mut fields = Fields(key);
    let of = (fields.address()?, fields.word()?);
    fields.end(of)
}

/// Encodes a slot's value without leading zeros.
pub(crate) fn slot_value(value: U256) -> Vec<u8> {
    value.to_be_bytes_trimmed_vec()
}

/// Decodes a number of at most 32 bytes.
pub(crate) fn number_256(bytes: &[u8]) -> Result<U256, StoreError> {
    U256::try_from_be_slice(bytes).ok_or_else(|| StoreError::damaged("a number above 256 bits"))
}

/// Undo record of a block: the values before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undo {
    /// The block's parent.
    pub parent: Head,
    /// Accounts before the block, sorted by address; `None` if the account did not exist.
    pub accounts: Vec<(Address, Option<AccountRecord>)>,
    /// Slots before the block, sorted by address and slot number; zero if the slot was not set.
    pub slots: Vec<(Address, U256, U256)>,
}

impl Undo {
    /// Memory that the entries take, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        size_of_val(self.accounts.as_slice()).saturating_add(size_of_val(self.slots.as_slice()))
    }

    /// Lower bound of [`bytes`](Self::bytes) for an encoded record, without decoding it.
    pub(crate) const fn least_bytes(encoded: &[u8]) -> usize {
        encoded.len().saturating_sub(HEAD_BYTES)
    }

    /// Returns the account before the block; `None` if the block did not change it.
    pub(crate) fn account(&self, address: Address) -> Option<Option<AccountRecord>> {
        let found = self.accounts.binary_search_by_key(&address, |(address, _)| *address);
        self.accounts.get(found.ok()?).map(|(_, account)| *account)
    }

    /// Returns the slot's value before the block; `None` if the block did not change it.
    pub(crate) fn slot(&self, address: Address, slot: U256) -> Option<U256> {
        let key = |(address, slot, _): &(Address, U256, U256)| (*address, *slot);
        let found = self.slots.binary_search_by_key(&(address, slot), key);
        self.slots.get(found.ok()?).map(|(.., value)| *value)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.parent.encode();
        for (address, account) in &self.accounts {
            let record = account.map(AccountRecord::encode).unwrap_or_default();
            bytes.push(ACCOUNT);
            bytes.extend(address);
            // An account's record has 9 to 73 bytes.
            bytes.push(u8::try_from(record.len()).unwrap_or(u8::MAX));
            bytes.extend(record);
        }
        for (address, slot, value) in &self.slots {
            bytes.push(SLOT);
            bytes.extend(slot_key(*address, *slot));
            let value = slot_value(*value);
            bytes.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
            bytes.extend(value);
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(bytes);
        let parent = Head { number: fields.number()?, hash: fields.hash()? };
        let mut undo = Self { parent, ..Self::default() };
        while !fields.0.is_empty() {
            match fields.take::<1>()? {
                [ACCOUNT] => {
                    let address = fields.address()?;
                    let record = fields.counted()?;
                    let account =
                        (!record.is_empty()).then(|| AccountRecord::decode(record)).transpose()?;
                    undo.accounts.push((address, account));
                }
                [SLOT] => {
                    let (address, slot) = (fields.address()?, fields.word()?);
                    let value = number_256(fields.counted()?)?;
                    undo.slots.push((address, slot, value));
                }
                [other] => return Err(StoreError::damaged(format!("undo entry of kind {other}"))),
            }
        }
        // Records may be cached, and `bytes` does not count spare capacity.
        undo.accounts.shrink_to_fit();
        undo.slots.shrink_to_fit();
        Ok(undo)
    }
}

/// Length of the parent at the beginning of an undo record. Each entry after it takes more bytes in
/// memory than encoded.
const HEAD_BYTES: usize = 40;
const ACCOUNT: u8 = 0;
const SLOT: u8 = 1;

/// The remaining bytes of a record. Fields are taken from the front.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else {
            return Err(StoreError::damaged("a record ends early"));
        };
        self.0 = rest;
        Ok(*field)
    }

    fn number(&mut self) -> Result<u64, StoreError> {
        self.take().map(u64::from_be_bytes)
    }

    fn hash(&mut self) -> Result<B256, StoreError> {
        self.take().map(B256::new)
    }

    fn address(&mut self) -> Result<Address, StoreError> {
        self.take().map(Address::new)
    }

    fn word(&mut self) -> Result<U256, StoreError> {
        self.take().map(U256::from_be_bytes::<32>)
    }

    /// Takes a length byte, and as many bytes as it says.
    fn counted(&mut self) -> Result<&'b [u8], StoreError> {
        let [count] = self.take::<1>()?;
        let bytes: &'b [u8] = self.0;
        let Some((field, rest)) = bytes.split_at_checked(usize::from(count)) else {
            return Err(StoreError::damaged("a record ends early"));
        };
        self.0 = rest;
        Ok(field)
    }

    fn end<T>(&self, value: T) -> Result<T, StoreError> {
        if self.0.is_empty() { Ok(value) } else { Err(StoreError::damaged("a record is too long")) }
    }
}
