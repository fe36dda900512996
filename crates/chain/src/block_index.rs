//! Which blocks and receipts are kept, and finding blocks by their hash and by the hashes of their
//! transactions.

use crate::{
    Head, Snapshot, StateReader, StateStore, StoreError, Table, Writes, open, record::header_of,
};
use alloy_primitives::{B256, keccak256};
use alloy_rlp::Header as RlpHeader;
use std::{collections::BTreeSet, mem};

/// Key in the table of single records. Folders of earlier versions lack it.
const KEPT_KEY: &[u8] = b"kept-blocks";

/// Number of writes of one transaction of the store while blocks are indexed.
const AT_ONCE: usize = 10_000;

/// Maximum number of old blocks that are removed with each new one. There are several if more
/// blocks were kept until now.
const REMOVED_AT_ONCE: u64 = 64;

/// Position of a transaction in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionPosition {
    /// Number of the block.
    pub block: u64,
    /// Index of the transaction in the block.
    pub index: u32,
}

/// Which blocks are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The last block when the index was changed. If the chain has another one, an earlier version
    /// has written to the store since then.
    head: Head,
    /// No block below this number is kept.
    first: u64,
    /// From this number on, every block is kept. The next number if the last block is not.
    unbroken: u64,
    /// Total size of the kept blocks, and of the receipts from `first` on, as stored.
    bytes: u64,
}

/// Length of the record in earlier versions, which did not count bytes.
const FORMER_LENGTH: usize = 56;

/// Which blocks and receipts are kept when a block is added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Maximum number of blocks. With 0, the new one is not kept, and no other is removed.
    pub(crate) blocks: u64,
    /// The same for receipts.
    pub(crate) receipts: u64,
    /// Maximum size of blocks and receipts.
    pub(crate) bytes: u64,
}

/// A new block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewBlock<'b> {
    pub(crate) head: Head,
    /// The block in RLP; empty if unknown.
    pub(crate) rlp: &'b [u8],
    /// Its receipts, encoded.
    pub(crate) receipts: &'b [u8],
}

impl Kept {
    fn nothing(head: Head) -> Self {
        let next = head.number.saturating_add(1);
        Self { head, first: next, unbroken: next, bytes: 0 }
    }

    pub(crate) fn read<S: Snapshot>(reader: &StateReader<S>) -> Result<Option<Self>, StoreError> {
        let bytes = reader.snapshot().get(Table::Meta, KEPT_KEY)?;
        let Some(bytes) = bytes.filter(|bytes| bytes.len() != FORMER_LENGTH) else {
            return Ok(None);
        };
        let kept = Self::decode(&bytes);
        kept.map(Some).ok_or_else(|| StoreError::damaged("the record of kept blocks"))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<40>()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (unbroken, rest) = rest.split_first_chunk()?;
        Some(Self {
            head: Head::decode(head).ok()?,
            first: u64::from_be_bytes(*first),
            unbroken: u64::from_be_bytes(*unbroken),
            bytes: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }

    pub(crate) fn put(self, writes: &mut Writes) {
        let numbers = [self.first, self.unbroken, self.bytes].map(u64::to_be_bytes);
        writes.put(Table::Meta, KEPT_KEY, [self.head.encode(), numbers.concat()].concat());
    }

    /// Subtracts the size of the receipts of block `number`, which are removed.
    pub(crate) fn without_receipts(&mut self, number: u64, bytes: u64) {
        // Receipts of earlier blocks are not counted.
        if number >= self.first && !mutant!(RemovedReceiptsCounted) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

/// Key of a transaction's position. With the number, a transaction that a development chain repeats
/// has several, and adding or removing one needs no reading.
fn position_key(hash: B256, block: u64) -> Vec<u8> {
    [hash.as_slice(), &block.to_be_bytes()].concat()
}

impl<S: Snapshot> StateReader<S> {
    /// Returns the number of the oldest block that is kept with its transactions, as are all blocks
    /// after it. `None` if the last block is not kept.
    ///
    /// # Errors
    /// The store failed.
    pub fn oldest_block(&self) -> Result<Option<u64>, StoreError> {
        let oldest = match Kept::read(self)? {
            Some(kept) if kept.head == self.head() => kept.unbroken,
            _ => unbroken(self, 0)?,
        };
        Ok((oldest <= self.head().number).then_some(oldest))
    }

    /// Returns the total size of the kept blocks and of their receipts as stored, in bytes, which
    /// [`Keep::history_bytes`](crate::Keep::history_bytes) limits. `None` if an earlier version
    /// wrote to the store: opening a [`Chain`](crate::Chain) counts the bytes again.
    ///
    /// # Errors
    /// The store failed.
    pub fn history_bytes(&self) -> Result<Option<u64>, StoreError> {
        let kept = Kept::read(self)?.filter(|kept| kept.head == self.head());
        Ok(kept.map(|kept| kept.bytes))
    }

    /// Returns the number of the kept block with this hash.
    ///
    /// # Errors
    /// The store failed.
    pub fn block_number(&self, hash: B256) -> Result<Option<u64>, StoreError> {
        let number = self.snapshot().get(Table::BlockNumbers, hash.as_slice())?;
        let number = number.map(|bytes| bytes.as_slice().try_into().map(u64::from_be_bytes));
        number.transpose().map_err(|_| StoreError::damaged(format!("the number of block {hash}")))
    }

    /// Returns the position of the transaction with this hash in the kept blocks, the last one if a
    /// development chain has repeated it.
    ///
    /// # Errors
    /// The store failed.
    pub fn transaction_position(
        &self,
        hash: B256,
    ) -> Result<Option<TransactionPosition>, StoreError> {
        let Some(entry) = self.snapshot().scan(Table::TransactionPositions, hash.as_slice()).last()
        else {
            return Ok(None);
        };
        let (key, index) = entry?;
        let damaged = || StoreError::damaged(format!("the position of transaction {hash}"));
        let block = key.last_chunk().ok_or_else(damaged)?;
        let index = index.as_slice().try_into().map_err(|_| damaged())?;
        let (block, index) = (u64::from_be_bytes(*block), u32::from_be_bytes(index));
        Ok(Some(TransactionPosition { block, index }))
    }
}

/// Returns the first number from which on every block is kept, but at least `first`. The next
/// number if the last block is not kept.
fn unbroken<S: Snapshot>(reader: &StateReader<S>, first: u64) -> Result<u64, StoreError> {
    unbroken_below(reader, reader.head().number.saturating_add(1), first)
}

/// Begins the index of a new chain.
pub(crate) fn begin(writes: &mut Writes, head: Head) {
    Kept::nothing(head).put(writes);
}

/// Returns the hashes of a block in RLP and of its transactions.
fn hashes(mut block: &[u8]) -> Result<(B256, Vec<B256>), alloy_rlp::Error> {
    let hash = header_of(block)?.hash_slow();
    let mut fields = RlpHeader::decode_bytes(&mut block, true)?;
    RlpHeader::decode_bytes(&mut fields, true)?;
    let mut transactions = RlpHeader::decode_bytes(&mut fields, true)?;
    let mut found = Vec::new();
    while !transactions.is_empty() {
        let whole = transactions;
        let item = RlpHeader::decode(&mut transactions)?;
        let payload = transactions.split_off(..item.payload_length);
        let payload = payload.ok_or(alloy_rlp::Error::InputTooShort)?;
        // A legacy transaction is a list; a typed one is a byte string that contains its envelope.
        let end = whole.len().saturating_sub(transactions.len());
        let envelope = if item.list { whole.get(..end) } else { Some(payload) };
        found.push(keccak256(envelope.unwrap_or_default()));
    }
    Ok((hash, found))
}

fn hashes_of(number: u64, rlp: &[u8]) -> Result<(B256, Vec<B256>), StoreError> {
    hashes(rlp).map_err(|_| StoreError::damaged(format!("block {number}")))
}

/// Adds a block to the index.
fn put(writes: &mut Writes, number: u64, rlp: &[u8]) -> Result<(), StoreError> {
    let (hash, transactions) = hashes_of(number, rlp)?;
    writes.put(Table::BlockNumbers, hash.as_slice(), number.to_be_bytes());
    for (index, hash) in (0_u32..).zip(transactions) {
        if index == 0 && mutant!(FirstTransactionUnindexed) {
            continue;
        }
        writes.put(Table::TransactionPositions, position_key(hash, number), index.to_be_bytes());
    }
    Ok(())
}

/// Removes a kept block and its entries of the index. A block that cannot be decoded has none that
/// could be found.
fn remove(writes: &mut Writes, number: u64, rlp: &[u8]) {
    writes.remove(Table::Blocks, number.to_be_bytes());
    let Ok((hash, transactions)) = hashes(rlp) else { return };
    if mutant!(RemovedBlockIndexed) {
        return;
    }
    writes.remove(Table::BlockNumbers, hash.as_slice());
    for hash in transactions {
        writes.remove(Table::TransactionPositions, position_key(hash, number));
    }
}

/// Keeps the block after the reader's head, with its receipts, and removes older blocks and receipts
/// beyond the limits. The new block stays, whatever its size.
pub(crate) fn extend<S: Snapshot>(
    reader: &StateReader<S>,
    writes: &mut Writes,
    NewBlock { head, rlp, receipts }: NewBlock<'_>,
    limits: Limits,
) -> Result<(), StoreError> {
    let kept = Kept::read(reader)?;
    let mut kept = kept.unwrap_or_else(|| Kept::nothing(reader.head()));
    let number = head.number;
    if limits.blocks > 0 && !rlp.is_empty() {
        writes.put(Table::Blocks, number.to_be_bytes(), rlp);
        put(writes, number, rlp)?;
        kept.bytes = kept.bytes.saturating_add(rlp.len() as u64);
    } else {
        kept.unbroken = number.saturating_add(1);
    }
    if limits.receipts > 0 {
        writes.put(Table::Receipts, number.to_be_bytes(), receipts);
        kept.bytes = kept.bytes.saturating_add(receipts.len() as u64);
    }
    for number in remove_old(reader, writes, (&mut kept, number), limits)? {
        writes.remove(Table::Receipts, number.to_be_bytes());
    }
    kept.unbroken = kept.unbroken.max(kept.first);
    Kept { head, ..kept }.put(writes);
    Ok(())
}

/// Removes blocks before block `head` beyond the limits, and returns the numbers of the blocks whose
/// receipts are to be removed.
fn remove_old<S: Snapshot>(
    reader: &StateReader<S>,
    writes: &mut Writes,
    (kept, head): (&mut Kept, u64),
    limits: Limits,
) -> Result<BTreeSet<u64>, StoreError> {
    let newest_old = |blocks: u64| head.checked_sub(blocks).filter(|_| blocks > 0);
    let (mut receipts, first) = (BTreeSet::new(), kept.first);
    let is_limited = limits.bytes < u64::MAX;
    for _ in 0..REMOVED_AT_ONCE {
        let number = kept.first;
        let is_beyond = kept.bytes > limits.bytes && number < head;
        if !is_beyond && newest_old(limits.blocks).is_none_or(|old| number > old) {
            break;
        }
        if let Some(rlp) = reader.block(number)? {
            remove(writes, number, &rlp);
            if !mutant!(RemovedBlockCounted) {
                kept.bytes = kept.bytes.saturating_sub(rlp.len() as u64);
            }
        }
        if let Some(bytes) = receipt_bytes(reader, number)? {
            kept.without_receipts(number, bytes);
            receipts.extend(is_limited.then_some(number));
        }
        kept.first = number.saturating_add(1);
    }
    // Receipts of older blocks that were kept before there was a limit of bytes.
    let older = first.checked_sub(1).filter(|_| is_limited);
    receipts.extend(run_before(reader, Table::Receipts, older)?);
    for number in run_before(reader, Table::Receipts, newest_old(limits.receipts))? {
        if receipts.insert(number) && number >= kept.first {
            kept.without_receipts(number, receipt_bytes(reader, number)?.unwrap_or_default());
        }
    }
    Ok(receipts)
}

/// Returns the size of the receipts of a block; `None` if they are not kept.
fn receipt_bytes<S: Snapshot>(
    reader: &StateReader<S>,
    number: u64,
) -> Result<Option<u64>, StoreError> {
    let receipts = reader.snapshot().get(Table::Receipts, &number.to_be_bytes())?;
    Ok(receipts.map(|receipts| receipts.len() as u64))
}

/// Returns the numbers of the block `last` and of all blocks directly before it that have a record
/// in `table`. There are several if more blocks were kept until now.
pub(crate) fn run_before<S: Snapshot>(
    reader: &StateReader<S>,
    table: Table,
    mut last: Option<u64>,
) -> Result<Vec<u64>, StoreError> {
    let mut run = Vec::new();
    while let Some(number) = last {
        if !reader.snapshot().contains(table, &number.to_be_bytes())? {
            break;
        }
        run.push(number);
        last = number.checked_sub(1);
    }
    Ok(run)
}

/// Removes the last block, after which the chain ends with `parent`.
pub(crate) fn unwind<S: Snapshot>(
    reader: &StateReader<S>,
    writes: &mut Writes,
    parent: Head,
) -> Result<(), StoreError> {
    let number = reader.head().number;
    let rlp = reader.block(number)?;
    if let Some(rlp) = &rlp {
        remove(writes, number, rlp);
    }
    let Some(mut kept) = Kept::read(reader)? else { return Ok(()) };
    kept.without_receipts(number, receipt_bytes(reader, number)?.unwrap_or_default());
    let bytes = kept.bytes.saturating_sub(rlp.map_or(0, |rlp| rlp.len() as u64));
    let unbroken = match kept.unbroken > number {
        // The block was not kept. Those before it may be.
        true => unbroken_below(reader, number, kept.first)?,
        false => kept.unbroken,
    };
    let first = kept.first.min(number);
    Kept { head: parent, first, unbroken, bytes }.put(writes);
    Ok(())
}

/// Like [`unbroken`], for the blocks below `number`.
fn unbroken_below<S: Snapshot>(
    reader: &StateReader<S>,
    number: u64,
    first: u64,
) -> Result<u64, StoreError> {
    let mut unbroken = number;
    while let Some(before) = unbroken.checked_sub(1).filter(|before| *before >= first) {
        if !reader.snapshot().contains(Table::Blocks, &before.to_be_bytes())? {
            break;
        }
        unbroken = before;
    }
    Ok(unbroken)
}

/// Makes the index again if an earlier version of Braid, which has none, has written to the store.
///
/// # Errors
/// The store failed, or a kept block is damaged. The next call begins again.
pub(crate) fn complete<S: StateStore>(store: &S) -> Result<(), StoreError> {
    let reader = open(store)?;
    if Kept::read(&reader)?.is_some_and(|kept| kept.head == reader.head()) {
        return Ok(());
    }
    let mut writes = Writes::default();
    writes.remove(Table::Meta, KEPT_KEY);
    for table in [Table::BlockNumbers, Table::TransactionPositions] {
        for entry in reader.snapshot().scan(table, &[]) {
            writes.remove(table, entry?.0);
            write_some(store, &mut writes)?;
        }
    }
    let mut first = None;
    for entry in reader.snapshot().scan(Table::Blocks, &[]) {
        let (key, rlp) = entry?;
        let number = number_of(&key)?;
        first.get_or_insert(number);
        put(&mut writes, number, &rlp)?;
        write_some(store, &mut writes)?;
    }
    let kept = Kept::nothing(reader.head());
    let first = first.unwrap_or(kept.first);
    let bytes = stored_bytes(&reader, first)?;
    Kept { first, unbroken: unbroken(&reader, first)?, bytes, ..kept }.put(&mut writes);
    store.write(writes)
}

/// Returns the size of all blocks and receipts from block `first` on.
fn stored_bytes<S: Snapshot>(reader: &StateReader<S>, first: u64) -> Result<u64, StoreError> {
    let mut bytes = 0_u64;
    for table in [Table::Blocks, Table::Receipts] {
        for entry in reader.snapshot().scan(table, &[]) {
            let (key, value) = entry?;
            if number_of(&key)? >= first {
                bytes = bytes.saturating_add(value.len() as u64);
            }
        }
    }
    Ok(bytes)
}

/// Writes `writes` if they are many.
fn write_some<S: StateStore>(store: &S, writes: &mut Writes) -> Result<(), StoreError> {
    match writes.0.len() >= AT_ONCE {
        true => store.write(mem::take(writes)),
        false => Ok(()),
    }
}

fn number_of(key: &[u8]) -> Result<u64, StoreError> {
    let number = key.try_into().map(u64::from_be_bytes);
    number.map_err(|_| StoreError::damaged("the number of a block"))
}

/// Checks that the index has every kept block with its transactions, and nothing else. An index that
/// is made again when the chain is opened is not checked.
pub(crate) fn verify<S: Snapshot>(reader: &StateReader<S>) -> Result<(), StoreError> {
    let Some(kept) = Kept::read(reader)?.filter(|kept| kept.head == reader.head()) else {
        return Ok(());
    };
    let found = (unbroken(reader, kept.first)?, stored_bytes(reader, kept.first)?);
    if found != (kept.unbroken, kept.bytes) {
        return Err(StoreError::damaged("the record of kept blocks"));
    }
    let (mut blocks, mut transactions) = (0_usize, 0_usize);
    for entry in reader.snapshot().scan(Table::Blocks, &[]) {
        let (key, rlp) = entry?;
        let number = number_of(&key)?;
        let (hash, of_block) = hashes_of(number, &rlp)?;
        let is_found = |(index, hash): (u32, &B256)| {
            let key = position_key(*hash, number);
            let found = reader.snapshot().get(Table::TransactionPositions, &key)?;
            Ok(found.as_deref() == Some(&index.to_be_bytes()[..]))
        };
        let all: Result<Vec<bool>, StoreError> = (0..).zip(&of_block).map(is_found).collect();
        let is_whole = all?.into_iter().all(|is_found| is_found);
        if number < kept.first || reader.block_number(hash)? != Some(number) || !is_whole {
            return Err(StoreError::damaged(format!("the index lacks block {number}")));
        }
        blocks = blocks.saturating_add(1);
        transactions = transactions.saturating_add(of_block.len());
    }
    let entries = |table| {
        let mut all = reader.snapshot().scan(table, &[]);
        all.try_fold(0_usize, |sum, entry| entry.map(|_| sum.saturating_add(1)))
    };
    let found = (entries(Table::BlockNumbers)?, entries(Table::TransactionPositions)?);
    if found != (blocks, transactions) {
        return Err(StoreError::damaged("the index names a block that is not kept"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DurableBatch, Head, Keep, MemoryStore, StateRoots, commit, create,
        mutants::{Bug, with_bug},
    };
    use alloy_consensus::EthereumReceipt;
    use alloy_consensus::{
        Block, BlockBody, EthereumTxEnvelope, Header, SignableTransaction, TxEip1559, TxEip4844,
        TxLegacy,
    };
    use alloy_primitives::{Address, Log, Signature};
    use std::num::NonZeroUsize;

    type Envelope = EthereumTxEnvelope<TxEip4844>;

    /// Returns the block with this number: a legacy transaction, and one of EIP-1559, each with
    /// the nonce `nonce`.
    fn block(number: u64, nonce: u64) -> (Head, Vec<u8>, [B256; 2]) {
        let signature = Signature::test_signature();
        let legacy = TxLegacy { nonce, ..TxLegacy::default() }.into_signed(signature);
        let dynamic = TxEip1559 { nonce, ..TxEip1559::default() }.into_signed(signature);
        let transactions = vec![Envelope::Legacy(legacy), Envelope::Eip1559(dynamic)];
        let hashes = [*transactions[0].hash(), *transactions[1].hash()];
        let header = Header { number, ..Header::default() };
        let hash = header.hash_slow();
        let body = BlockBody { transactions, ..BlockBody::default() };
        (Head { number, hash }, alloy_rlp::encode(Block { header, body }), hashes)
    }

    /// Adds a block. It is kept if it is not `bare`.
    fn extend_by(store: &MemoryStore, number: u64, blocks: u64, bare: bool) {
        let (head, rlp, _) = block(number, number % 3);
        let rlp = if bare { Vec::new() } else { rlp };
        let batch = DurableBatch { head, rlp: rlp.into(), ..DurableBatch::default() };
        commit(store, &batch, Keep { rlp_blocks: blocks, ..Keep::default() }).expect("it follows");
    }

    /// Returns a chain of six blocks that keeps the last `blocks`. Transactions repeat every three
    /// blocks.
    fn chain(blocks: u64) -> MemoryStore {
        let store = MemoryStore::new();
        create(&store, b"{}", &DurableBatch::default(), StateRoots::Disabled).expect("it is empty");
        (1..=6).for_each(|number| extend_by(&store, number, blocks, false));
        store
    }

    /// Whether a block is found, and the block and index at which each of its transactions is.
    type Found = (bool, [Option<(u64, u32)>; 2]);

    /// Returns what is found of each block.
    fn found(store: &MemoryStore) -> Vec<Found> {
        let reader = open(store).expect("a chain");
        let of_block = |number| {
            let (head, _, hashes) = block(number, number % 3);
            let found = reader.block_number(head.hash).expect("it is read");
            assert!(found.is_none_or(|found| found == number));
            let position = |hash| {
                let position = reader.transaction_position(hash).expect("it is read");
                position.map(|it| (it.block, it.index))
            };
            (found.is_some(), hashes.map(position))
        };
        (1..=6).map(of_block).collect()
    }

    /// Compares the index with the blocks that are kept.
    fn compare(store: &MemoryStore, kept: &[u64]) -> Result<(), String> {
        let expected: Vec<_> = (1..=6_u64)
            .map(|number| {
                let last = kept.iter().rev().find(|kept| *kept % 3 == number % 3);
                (kept.contains(&number), [0, 1].map(|index| last.map(|last| (*last, index))))
            })
            .collect();
        let found = found(store);
        let reader = open(store).expect("a chain");
        let oldest = reader.oldest_block().expect("it is read");
        let last = (1..=reader.head().number).rev().take_while(|number| kept.contains(number));
        if oldest != last.last() {
            return Err(format!("the oldest one is {oldest:?}"));
        }
        match found == expected {
            true => verify(&open(store).expect("a chain")).map_err(|error| error.to_string()),
            false => Err(format!("{found:?}, not {expected:?}")),
        }
    }

    fn unwind_by(store: &MemoryStore, blocks: u64) {
        crate::unwind(store, blocks, NonZeroUsize::MIN).expect("undo records are kept");
    }

    fn follows_the_blocks() -> Result<(), String> {
        let store = chain(3);
        compare(&store, &[4, 5, 6])?;
        unwind_by(&store, 2);
        compare(&store, &[4])?;
        // An earlier block has the transactions of an unwound one.
        let store = chain(6);
        compare(&store, &[1, 2, 3, 4, 5, 6])?;
        unwind_by(&store, 2);
        compare(&store, &[1, 2, 3, 4])?;
        // A gap, and fewer blocks from now on.
        extend_by(&store, 5, 6, true);
        compare(&store, &[1, 2, 3, 4])?;
        extend_by(&store, 6, 6, false);
        compare(&store, &[1, 2, 3, 4, 6])?;
        unwind_by(&store, 1);
        compare(&store, &[1, 2, 3, 4])?;
        unwind_by(&store, 1);
        compare(&store, &[1, 2, 3, 4])?;
        extend_by(&store, 5, 2, false);
        compare(&store, &[4, 5])?;
        // As an earlier version leaves the store.
        let store = chain(3);
        let mut writes = Writes::default();
        let (head, rlp, _) = block(7, 7);
        writes.put(Table::Blocks, 7_u64.to_be_bytes(), rlp);
        writes.put(Table::Meta, crate::record::HEAD_KEY, head.encode());
        store.write(writes).expect("memory");
        verify(&open(&store).expect("a chain")).map_err(|error| error.to_string())?;
        complete(&store).expect("the blocks are good");
        unwind_index(&store);
        compare(&store, &[4, 5, 6])
    }

    /// Unwinds the last block in the index alone.
    fn unwind_index(store: &MemoryStore) {
        let (reader, mut writes) = (open(store).expect("a chain"), Writes::default());
        let (parent, ..) = block(reader.head().number - 1, 0);
        unwind(&reader, &mut writes, parent).expect("it is read");
        writes.put(Table::Meta, crate::record::HEAD_KEY, parent.encode());
        store.write(writes).expect("memory");
    }

    /// Adds a block with its RLP and one receipt of `logs` bytes, and returns their size.
    fn extend_sized(store: &MemoryStore, number: u64, logs: usize, keep: Keep) -> u64 {
        let (head, rlp, _) = block(number, number % 3);
        let log = Log::new_unchecked(Address::ZERO, Vec::new(), vec![7; logs].into());
        let receipt = EthereumReceipt { logs: vec![log], ..EthereumReceipt::default() };
        let mut encoded = Vec::new();
        alloy_rlp::encode_list(core::slice::from_ref(&receipt), &mut encoded);
        let size = (rlp.len() + encoded.len()) as u64;
        let receipts = [receipt].into();
        commit(
            store,
            &DurableBatch { head, rlp: rlp.into(), receipts, ..Default::default() },
            keep,
        )
        .expect("it follows");
        size
    }

    /// Compares the blocks and receipts of a chain with the newest ones of `sizes`, by block number,
    /// that take at most `limit` bytes.
    fn compare_sizes(store: &MemoryStore, sizes: &[u64], limit: u64) -> Result<(), String> {
        let reader = open(store).expect("a chain");
        let head = reader.head().number as usize;
        let (mut oldest, mut bytes) = (head, sizes[head]);
        while oldest > 1 && bytes + sizes[oldest - 1] <= limit {
            oldest -= 1;
            bytes += sizes[oldest];
        }
        for number in 1..=head {
            let kept = number >= oldest;
            let block = reader.block(number as u64).expect("it is read").is_some();
            let receipts = reader.receipts(number as u64).expect("it is read").is_some();
            if (block, receipts) != (kept, kept) {
                return Err(format!("block {number} of {head}: {block}, {receipts}"));
            }
        }
        match reader.history_bytes().expect("it is read") {
            Some(found) if found == bytes => verify(&reader).map_err(|error| error.to_string()),
            found => Err(format!("{found:?} bytes, not {bytes}")),
        }
    }

    /// Blocks of different sizes within different limits, which change at restarts, with unwinding
    /// and pruning.
    fn fits_into_the_limit() -> Result<(), String> {
        let store = MemoryStore::new();
        create(&store, b"{}", &DurableBatch::default(), StateRoots::Disabled).expect("it is empty");
        let all = Keep { rlp_blocks: u64::MAX, receipt_blocks: u64::MAX, ..Keep::default() };
        let mut sizes = vec![0; 1];
        for number in 1..=400_u64 {
            let (phase, step) = ((number - 1) / 80, (number - 1) % 80);
            let limit = [u64::MAX, 9_000, 4_000, 20_000, 1][phase as usize];
            let logs = 300 + (number as usize * 97) % 700;
            let keep = Keep { history_bytes: limit, ..all };
            sizes.push(extend_sized(&store, number, logs, keep));
            // A smaller limit is reached after a few blocks. Under a larger one, blocks that would
            // fit have been removed before.
            let from = [0, 3, 3, 40, 3][phase as usize];
            if (from..70).contains(&step) {
                compare_sizes(&store, &sizes, limit)?;
            }
            if step == 70 {
                unwind_by(&store, if phase == 4 { 1 } else { 3 });
                for number in open(&store).expect("a chain").head().number + 1..=number {
                    sizes[number as usize] = extend_sized(&store, number, logs, keep);
                }
                verify(&open(&store).expect("a chain")).map_err(|error| error.to_string())?;
            }
        }
        // The size stays right if receipts are pruned, and if blocks are limited by number.
        for number in 401..=420 {
            extend_sized(&store, number, 500, all);
        }
        let is_right =
            || verify(&open(&store).expect("a chain")).map_err(|error| error.to_string());
        is_right()?;
        crate::prune(&store, 128, Some(5)).expect("memory");
        is_right()?;
        for (number, blocks, receipts) in [(421, 9, 3), (422, 3, 9), (423, 2, 2), (424, 0, 2)] {
            let keep = Keep { rlp_blocks: blocks, receipt_blocks: receipts, ..all };
            extend_sized(&store, number, 500, keep);
            is_right()?;
        }
        unwind_by(&store, 4);
        is_right()
    }

    #[test]
    fn blocks_and_receipts_are_kept_within_a_size() {
        fits_into_the_limit().expect("the size is right");
        for bug in Bug::HISTORY_BYTES {
            with_bug(Some(bug), fits_into_the_limit).expect_err("it is noticed");
        }
    }

    /// Receipts that were kept of more blocks than their transactions are removed once there is a
    /// limit of bytes; a record without the size is completed.
    #[test]
    fn a_limit_of_bytes_also_removes_older_receipts() {
        let store = MemoryStore::new();
        create(&store, b"{}", &DurableBatch::default(), StateRoots::Disabled).expect("it is empty");
        let more = Keep { rlp_blocks: 2, receipt_blocks: 50, ..Keep::default() };
        for number in 1..=9 {
            extend_sized(&store, number, 500, more);
        }
        let mut writes = Writes::default();
        let record = store.snapshot().unwrap().get(Table::Meta, KEPT_KEY).unwrap().unwrap();
        writes.put(Table::Meta, KEPT_KEY, &record[..FORMER_LENGTH]);
        store.write(writes).expect("memory");
        assert_eq!(open(&store).unwrap().history_bytes().unwrap(), None);
        complete(&store).expect("the blocks are good");
        let size = open(&store).unwrap().history_bytes().unwrap().expect("it is counted");
        let keep = Keep { rlp_blocks: u64::MAX, receipt_blocks: u64::MAX, ..Keep::default() };
        let added = extend_sized(&store, 10, 500, Keep { history_bytes: size * 2, ..keep });
        let reader = open(&store).unwrap();
        assert_eq!(reader.history_bytes().unwrap(), Some(size + added));
        let receipts = (1..=10).filter(|number| reader.receipts(*number).unwrap().is_some());
        assert_eq!(receipts.collect::<Vec<_>>(), [8, 9, 10]);
        verify(&reader).unwrap();
    }

    #[test]
    fn many_old_blocks_are_removed_in_parts() {
        let store = MemoryStore::new();
        create(&store, b"{}", &DurableBatch::default(), StateRoots::Disabled).expect("it is empty");
        (1..=200).for_each(|number| extend_by(&store, number, u64::MAX, false));
        let kept = |number| open(&store).unwrap().block(number).unwrap().is_some();
        extend_by(&store, 201, 10, false);
        assert!(!kept(REMOVED_AT_ONCE) && kept(REMOVED_AT_ONCE + 1));
        verify(&open(&store).unwrap()).unwrap();
        (202..=204).for_each(|number| extend_by(&store, number, 10, false));
        assert!(!kept(194) && kept(195));
        verify(&open(&store).unwrap()).unwrap();
    }

    #[test]
    fn blocks_and_transactions_are_found_while_they_are_kept() {
        follows_the_blocks().expect("the index is right");
        for bug in Bug::BLOCK_INDEX {
            with_bug(Some(bug), follows_the_blocks).expect_err("it is noticed");
        }
    }

    #[test]
    fn a_wrong_index_is_found() {
        let (head, _, hashes) = block(5, 2);
        let wrong: [fn(&mut Writes, Head, B256); 5] = [
            |writes, head, _| writes.remove(Table::BlockNumbers, head.hash.as_slice()),
            |writes, head, _| {
                writes.put(Table::BlockNumbers, head.hash.as_slice(), 4_u64.to_be_bytes());
            },
            |writes, _, _| writes.put(Table::BlockNumbers, [7; 32], 4_u64.to_be_bytes()),
            |writes, _, hash| writes.remove(Table::TransactionPositions, position_key(hash, 5)),
            |writes, _, hash| {
                writes.put(Table::TransactionPositions, position_key(hash, 7), [0; 4]);
            },
        ];
        for (index, spoil) in wrong.into_iter().enumerate() {
            let store = chain(3);
            let mut writes = Writes::default();
            spoil(&mut writes, head, hashes[1]);
            store.write(writes).expect("memory");
            verify(&open(&store).expect("a chain")).expect_err(&index.to_string());
        }
    }
}
