//! Finding kept blocks by their hash, and by the hashes of their transactions.

use crate::{
    Head, Snapshot, StateReader, StateStore, StoreError, Table, Writes, open, record::header_of,
};
use alloy_primitives::{B256, keccak256};
use alloy_rlp::Header as RlpHeader;
use std::mem;

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
struct Kept {
    /// The last block when the index was changed. If the chain has another one, an earlier version
    /// has written to the store since then.
    head: Head,
    /// No block below this number is kept.
    first: u64,
    /// From this number on, every block is kept. The next number if the last block is not.
    unbroken: u64,
}

impl Kept {
    fn nothing(head: Head) -> Self {
        let next = head.number.saturating_add(1);
        Self { head, first: next, unbroken: next }
    }

    fn read<S: Snapshot>(reader: &StateReader<S>) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = reader.snapshot().get(Table::Meta, KEPT_KEY)? else { return Ok(None) };
        let kept = Self::decode(&bytes);
        kept.map(Some).ok_or_else(|| StoreError::damaged("the record of kept blocks"))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<40>()?;
        let (first, rest) = rest.split_first_chunk()?;
        Some(Self {
            head: Head::decode(head).ok()?,
            first: u64::from_be_bytes(*first),
            unbroken: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }

    fn put(self, writes: &mut Writes) {
        let numbers = [self.first, self.unbroken].map(u64::to_be_bytes);
        writes.put(Table::Meta, KEPT_KEY, [self.head.encode(), numbers.concat()].concat());
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

/// Keeps the block after the reader's head, which is `head` and `rlp`, and removes blocks that are
/// older than the last `blocks`. Keeps nothing new, and removes nothing, if `blocks` is zero.
pub(crate) fn extend<S: Snapshot>(
    reader: &StateReader<S>,
    writes: &mut Writes,
    (head, rlp): (Head, &[u8]),
    blocks: u64,
) -> Result<(), StoreError> {
    let kept = Kept::read(reader)?;
    let mut kept = kept.unwrap_or_else(|| Kept::nothing(reader.head()));
    let newest_old = head.number.checked_sub(blocks).filter(|_| blocks > 0);
    for _ in 0..REMOVED_AT_ONCE {
        let number = kept.first;
        if newest_old.is_none_or(|old| number > old) {
            break;
        }
        if let Some(rlp) = reader.block(number)? {
            remove(writes, number, &rlp);
        }
        kept.first = number.saturating_add(1);
    }
    if blocks > 0 && !rlp.is_empty() {
        writes.put(Table::Blocks, head.number.to_be_bytes(), rlp);
        put(writes, head.number, rlp)?;
    } else {
        kept.unbroken = head.number.saturating_add(1);
    }
    kept.unbroken = kept.unbroken.max(kept.first);
    Kept { head, ..kept }.put(writes);
    Ok(())
}

/// Removes the last block, after which the chain ends with `parent`.
pub(crate) fn unwind<S: Snapshot>(
    reader: &StateReader<S>,
    writes: &mut Writes,
    parent: Head,
) -> Result<(), StoreError> {
    let number = reader.head().number;
    if let Some(rlp) = reader.block(number)? {
        remove(writes, number, &rlp);
    }
    let Some(kept) = Kept::read(reader)? else { return Ok(()) };
    let unbroken = match kept.unbroken > number {
        // The block was not kept. Those before it may be.
        true => unbroken_below(reader, number, kept.first)?,
        false => kept.unbroken,
    };
    let first = kept.first.min(number);
    Kept { head: parent, first, unbroken }.put(writes);
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
    Kept { first, unbroken: unbroken(&reader, first)?, ..kept }.put(&mut writes);
    store.write(writes)
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
    if unbroken(reader, kept.first)? != kept.unbroken {
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
    use alloy_consensus::{
        Block, BlockBody, EthereumTxEnvelope, Header, SignableTransaction, TxEip1559, TxEip4844,
        TxLegacy,
    };
    use alloy_primitives::Signature;
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
