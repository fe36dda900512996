//! Reading Ethereum's state from a snapshot.

use crate::{
    AccountRecord, FirstBlock, Head, SCHEMA, Snapshot, StateStore, StoreError, Table, Undo,
    record::{
        FIRST_KEY, FORMER_SCHEMA, GENESIS_KEY, HEAD_KEY, HEADER_KEY, NODES_HEAD_KEY, SCHEMA_KEY,
        STATE_ROOT_KEY, header_of, number_256, slot_key, slot_of_key,
    },
};
use alloy_consensus::{EthereumReceipt, Header};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use alloy_rlp::Decodable;
use revm::{
    DatabaseRef,
    state::{AccountInfo, Bytecode},
};

/// Opens the chain in `store`, and returns a reader of the state at its head.
///
/// # Errors
/// The store holds no chain, or one written with a different schema version.
pub fn open<S: StateStore>(store: &S) -> Result<StateReader<S::Snapshot>, StoreError> {
    let snapshot = store.snapshot()?;
    let Some(schema) = snapshot.get(Table::Meta, SCHEMA_KEY)? else {
        return Err(StoreError::Empty);
    };
    let found = schema.try_into().map(u32::from_be_bytes);
    let found = found.map_err(|_| StoreError::damaged("the schema version"))?;
    if found != SCHEMA && found != FORMER_SCHEMA {
        return Err(StoreError::Schema { found, expected: SCHEMA });
    }
    StateReader::new(snapshot)
}

/// Reads the state after a block from a snapshot. Each worker has a clone; clones share the
/// snapshot.
#[derive(Clone, Debug)]
pub struct StateReader<S> {
    snapshot: S,
    head: Head,
}

impl<S: Snapshot> StateReader<S> {
    /// Creates a reader of the state in `snapshot`.
    ///
    /// # Errors
    /// The snapshot holds no chain.
    pub fn new(snapshot: S) -> Result<Self, StoreError> {
        let head = snapshot.get(Table::Meta, HEAD_KEY)?.ok_or(StoreError::Empty)?;
        Ok(Self { head: Head::decode(&head)?, snapshot })
    }

    /// Returns the last block that the state includes.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Returns the description of the chain that was passed to [`create`](crate::create).
    ///
    /// # Errors
    /// The store failed.
    pub fn genesis(&self) -> Result<Vec<u8>, StoreError> {
        let genesis = self.snapshot.get(Table::Meta, GENESIS_KEY)?;
        genesis.ok_or_else(|| StoreError::damaged("the genesis is missing"))
    }

    /// Returns the block that the chain began with; `None` if an earlier version of this crate
    /// created the chain.
    ///
    /// # Errors
    /// The store failed.
    pub fn first_block(&self) -> Result<Option<FirstBlock>, StoreError> {
        let first = self.snapshot.get(Table::Meta, FIRST_KEY)?;
        let first = first.map(|first| FirstBlock::decode(&first)).transpose();
        first.map_err(|error| error.of("the first block"))
    }

    /// Returns the header of the last block, if the block was written with it. The header of a
    /// chain's first block is not stored, as it follows from the genesis.
    ///
    /// # Errors
    /// The store failed.
    pub fn header(&self) -> Result<Option<Header>, StoreError> {
        let kept = self.snapshot.get(Table::Meta, HEADER_KEY)?;
        let of_head = |header: &Header| header.hash_slow() == self.head.hash;
        let header = kept.and_then(|kept| Header::decode(&mut &*kept).ok()).filter(of_head);
        if header.is_some() {
            return Ok(header);
        }
        let block = self.block(self.head.number)?;
        Ok(block.and_then(|block| header_of(&block).ok()).filter(of_head))
    }

    /// Returns the state root; `None` if the chain has no state roots.
    ///
    /// # Errors
    /// The store failed.
    pub fn state_root(&self) -> Result<Option<B256>, StoreError> {
        let root = self.snapshot.get(Table::Meta, STATE_ROOT_KEY)?;
        let root = root.map(|root| B256::try_from(root.as_slice())).transpose();
        root.map_err(|_| StoreError::damaged("the state root"))
    }

    /// Returns the block whose trie nodes are in the store. Nodes of later blocks are computed from
    /// the undo records.
    pub(crate) fn nodes_head(&self) -> Result<Head, StoreError> {
        let head = self.snapshot.get(Table::Meta, NODES_HEAD_KEY)?;
        head.map_or(Ok(self.head), |head| Head::decode(&head))
    }

    /// Returns the snapshot that is read.
    pub(crate) const fn snapshot(&self) -> &S {
        &self.snapshot
    }

    /// Returns the account at `address`; `None` if it does not exist.
    ///
    /// # Errors
    /// The store failed.
    pub fn account(&self, address: Address) -> Result<Option<AccountRecord>, StoreError> {
        let record = self.snapshot.get(Table::Accounts, address.as_slice());
        let decode =
            |record: Option<Vec<u8>>| record.map(|it| AccountRecord::decode(&it)).transpose();
        record.and_then(decode).map_err(|error| error.of(format!("account {address}")))
    }

    /// Returns the code with this hash.
    ///
    /// # Errors
    /// The store failed, or it has no code with this hash.
    pub fn code(&self, hash: B256) -> Result<Vec<u8>, StoreError> {
        if hash == KECCAK256_EMPTY || hash.is_zero() {
            return Ok(Vec::new());
        }
        let code = self.snapshot.get(Table::Codes, hash.as_slice());
        let code = code.map_err(|error| error.of(format!("the code {hash}")))?;
        code.ok_or_else(|| StoreError::damaged(format!("the code {hash} is missing")))
    }

    /// Returns the receipts of the block with this number, if they are kept: see
    /// [`Keep`](crate::Keep).
    ///
    /// # Errors
    /// The store failed.
    pub fn receipts(&self, number: u64) -> Result<Option<Vec<EthereumReceipt>>, StoreError> {
        let receipts = self.snapshot.get(Table::Receipts, &number.to_be_bytes())?;
        let decode = |receipts: Vec<u8>| Vec::decode(&mut &*receipts);
        let receipts = receipts.map(decode).transpose();
        receipts.map_err(|_| StoreError::damaged(format!("the receipts of block {number}")))
    }

    /// Returns the block with this number in RLP, including its transactions, if it is kept: see
    /// [`Keep`](crate::Keep).
    ///
    /// # Errors
    /// The store failed.
    pub fn block(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.snapshot.get(Table::Blocks, &number.to_be_bytes())
    }

    /// Returns the hash of the block with this number, if it is in the store.
    ///
    /// # Errors
    /// The store failed.
    pub fn block_hash(&self, number: u64) -> Result<Option<B256>, StoreError> {
        let hash = self.snapshot.get(Table::BlockHashes, &number.to_be_bytes());
        let hash = hash.map_err(|error| error.of(format!("the hash of block {number}")))?;
        let decode = |hash: Vec<u8>| B256::try_from(hash.as_slice());
        let hash = hash.map(decode).transpose();
        hash.map_err(|_| StoreError::damaged(format!("the hash of block {number}")))
    }

    /// Returns the undo record of the block with this number, if it is kept.
    ///
    /// # Errors
    /// The store failed.
    pub fn undo(&self, number: u64) -> Result<Option<Undo>, StoreError> {
        self.undo_within(number, usize::MAX)
    }

    /// Returns the undo record if it [takes](Undo::bytes) at most `bytes` of memory. A record that
    /// is certain to take more is not even decoded: before Cancun, a transaction could clear a
    /// storage of any size.
    ///
    /// # Errors
    /// The store failed.
    pub fn undo_within(&self, number: u64, bytes: usize) -> Result<Option<Undo>, StoreError> {
        let undo = self.snapshot.get(Table::Undo, &number.to_be_bytes())?;
        let undo = undo.filter(|undo| Undo::least_bytes(undo) <= bytes);
        let undo = undo.map(|undo| Undo::decode(&undo)).transpose();
        let undo = undo.map(|undo| undo.filter(|undo| undo.bytes() <= bytes));
        undo.map_err(|error| error.of(format!("the undo record of block {number}")))
    }

    /// Iterates over all accounts, in order of address.
    pub fn accounts(
        &self,
    ) -> impl Iterator<Item = Result<(Address, AccountRecord), StoreError>> + '_ {
        self.snapshot.scan(Table::Accounts, &[]).map(|entry| {
            let (key, record) = entry?;
            let address = Address::try_from(key.as_slice());
            let address = address.map_err(|_| StoreError::damaged("an account's key"))?;
            let record = AccountRecord::decode(&record);
            Ok((address, record.map_err(|error| error.of(format!("account {address}")))?))
        })
    }

    /// Iterates over all slots that are not zero, in order of address and slot number.
    pub fn all_slots(
        &self,
    ) -> impl Iterator<Item = Result<(Address, U256, U256), StoreError>> + '_ {
        self.snapshot.scan(Table::Slots, &[]).map(|entry| {
            let (key, value) = entry?;
            let (address, slot) = slot_of_key(&key)?;
            let value = number_256(&value);
            Ok((
                address,
                slot,
                value.map_err(|error| error.of(format!("slot {slot:#x} of {address}")))?,
            ))
        })
    }

    /// Iterates over the slots of `address` that are not zero, in order of slot number.
    pub fn slots(
        &self,
        address: Address,
    ) -> impl Iterator<Item = Result<(U256, U256), StoreError>> + '_ {
        self.snapshot.scan(Table::Slots, address.as_slice()).map(move |entry| {
            let (key, value) = entry?;
            let (slot, value) = (slot_of_key(&key)?.1, number_256(&value));
            Ok((slot, value.map_err(|error| error.of(format!("slot {slot:#x} of {address}")))?))
        })
    }
}

impl<S: Snapshot> DatabaseRef for StateReader<S> {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        Ok(self.account(address)?.map(AccountInfo::from))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StoreError> {
        let code = Bytes::from(self.code(code_hash)?);
        // Before London a contract's code could begin with 0xef01, like an EIP-7702 delegation,
        // without being one.
        let checked = Bytecode::new_raw_checked(code.clone());
        Ok(checked.unwrap_or_else(|_| Bytecode::new_legacy(code)))
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, StoreError> {
        let value = self.snapshot.get(Table::Slots, &slot_key(address, index));
        let decode = |value: Option<Vec<u8>>| value.map_or(Ok(U256::ZERO), |it| number_256(&it));
        value.and_then(decode).map_err(|error| error.of(format!("slot {index:#x} of {address}")))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        Ok(self.block_hash(number)?.unwrap_or_default())
    }
}
