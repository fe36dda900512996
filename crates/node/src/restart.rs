//! Reading blocks from the store.

use crate::{accounts::impersonated, error::NodeError, limits::NodeConfig, stored::StoredBlock};
use alloy_consensus::{Block, BlockBody, EthereumReceipt, transaction::Recovered};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256};
use alloy_rlp::{Decodable, Encodable};
use braid_chain::{
    Head, Rules, Snapshot, StateReader, genesis, pool::SignedTransaction, rlp::recover_senders,
};
use std::{num::NonZeroUsize, thread::available_parallelism};

/// A block from the store, without the senders of its transactions.
#[derive(Debug)]
struct KeptBlock {
    hash: B256,
    block: Block<SignedTransaction>,
    receipts: Option<Vec<EthereumReceipt>>,
    size: usize,
}

/// Returns the last blocks in the store, oldest first, as many as `config` allows. Older blocks are
/// not read.
pub(crate) fn kept_blocks<S: Snapshot>(
    reader: &StateReader<S>,
    genesis: &Genesis,
    config: &NodeConfig,
) -> Result<Vec<StoredBlock>, NodeError> {
    let head = reader.head().number;
    // The last block is needed in any case, as the parent of the next block.
    let oldest = head.saturating_sub(config.history_blocks.max(1) - 1);
    let first = genesis::header(genesis).number;
    let (mut kept, mut bytes, mut hash) = (Vec::new(), 0_usize, reader.head().hash);
    for number in (oldest.max(first)..=head).rev() {
        // Each block names its parent. Stored hashes are not used, as `braid-node prune` removes
        // old hashes, but no blocks.
        let block = match number == first {
            true => Some(first_block(reader, genesis, hash)?),
            false => kept_block(reader, Head { number, hash })?,
        };
        let Some(block) = block else { break };
        hash = block.block.header.parent_hash;
        let transactions = block.block.body.transactions.len();
        let receipts = block.receipts.as_deref();
        bytes = bytes.saturating_add(StoredBlock::memory(block.size, transactions, receipts));
        if bytes > config.history_bytes && !kept.is_empty() {
            break;
        }
        kept.push(block);
    }
    kept.reverse();
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    with_senders(kept, &Rules::new(genesis.config.clone()), threads)
}

/// Decodes a block and recovers its senders, on the calling thread. `receipts` is `None` if
/// `braid-node prune` has removed them.
pub(crate) fn block(
    head: Head,
    (rlp, receipts): (Vec<u8>, Option<Vec<EthereumReceipt>>),
    rules: &Rules,
) -> Result<StoredBlock, NodeError> {
    let block = decode(head, &rlp, receipts)?;
    let mut blocks = with_senders(vec![block], rules, NonZeroUsize::MIN)?;
    blocks.pop().ok_or_else(|| damaged(head.number, "it is missing"))
}

/// Decodes a block that was executed, whose `senders` are known.
pub(crate) fn executed(
    head: Head,
    rlp: &[u8],
    receipts: Vec<EthereumReceipt>,
    senders: Vec<Address>,
    rules: &Rules,
) -> Result<StoredBlock, NodeError> {
    let block = decode(head, rlp, Some(receipts))?;
    Ok(stored(block, &mut senders.into_iter(), rules))
}

/// Returns the block that the chain began with; `None` if its hash is not known, as an earlier
/// version created the chain.
pub(crate) fn first<S: Snapshot>(
    reader: &StateReader<S>,
    genesis: &Genesis,
) -> Result<Option<StoredBlock>, NodeError> {
    let Some(first) = reader.first_block()? else { return Ok(None) };
    let block = first_block(reader, genesis, first.head.hash)?;
    let rules = Rules::new(genesis.config.clone());
    Ok(with_senders(vec![block], &rules, NonZeroUsize::MIN)?.pop())
}

/// Recovers the senders of all blocks' transactions, on `threads` threads.
fn with_senders(
    kept: Vec<KeptBlock>,
    rules: &Rules,
    threads: NonZeroUsize,
) -> Result<Vec<StoredBlock>, NodeError> {
    let signed = kept.iter().flat_map(|it| &it.block.body.transactions);
    let signed: Vec<_> = signed.filter(|it| impersonated(it).is_none()).collect();
    let senders = recover_senders(&signed, true, threads);
    let mut senders = senders.map_err(|index| without_sender(&kept, index))?.into_iter();
    Ok(kept.into_iter().map(|block| stored(block, &mut senders, rules)).collect())
}

/// Adds the senders to a block. `senders` yields those of its signed transactions, in order; an
/// impersonated transaction names its own sender.
fn stored(
    KeptBlock { hash, block, receipts, size }: KeptBlock,
    senders: &mut impl Iterator<Item = Address>,
    rules: &Rules,
) -> StoredBlock {
    let Block { header, body } = block;
    let transactions = body.transactions.into_iter().filter_map(|signed| {
        let sender = impersonated(&signed).or_else(|| senders.next())?;
        Some(Recovered::new_unchecked(signed, sender))
    });
    let transactions = transactions.collect();
    let block = StoredBlock::new(hash, header, transactions, receipts, size);
    block.with_foreign(rules, body.ommers, body.withdrawals)
}

/// Error for the really signed transaction with this index, counted over all blocks, whose signature
/// is invalid.
fn without_sender(kept: &[KeptBlock], index: usize) -> NodeError {
    let mut numbers = kept.iter().flat_map(|it| {
        let signed = it.block.body.transactions.iter().filter(|it| impersonated(it).is_none());
        signed.map(move |_| it.block.header.number)
    });
    let number = numbers.nth(index).unwrap_or_default();
    damaged(number, "a signature is invalid")
}

fn damaged(number: u64, why: impl ToString) -> NodeError {
    NodeError::Damaged { number, why: why.to_string() }
}

/// Returns the block that the chain began with. The store holds the current accounts, and not those
/// of this block, but it holds the block's state root; the root is zero if an earlier version
/// created the chain.
fn first_block<S: Snapshot>(
    reader: &StateReader<S>,
    genesis: &Genesis,
    hash: B256,
) -> Result<KeptBlock, NodeError> {
    let mut header = genesis::header(genesis);
    let first = reader.first_block()?;
    header.state_root = first.and_then(|first| first.state_root).unwrap_or(B256::ZERO);
    let size = header.length();
    let block = Block { header, body: BlockBody::default() };
    Ok(KeptBlock { hash, block, receipts: Some(Vec::new()), size })
}

/// Reads a block from the store. `braid-node prune` may have removed its receipts.
fn kept_block<S: Snapshot>(
    reader: &StateReader<S>,
    head: Head,
) -> Result<Option<KeptBlock>, NodeError> {
    let Head { number, hash } = head;
    let Some(rlp) = reader.block(number)? else { return Ok(None) };
    let kept = decode(head, &rlp, reader.receipts(number)?)?;
    Ok((kept.block.header.hash_slow() == hash).then_some(kept))
}

fn decode(
    Head { number, hash }: Head,
    rlp: &[u8],
    kept: Option<Vec<EthereumReceipt>>,
) -> Result<KeptBlock, NodeError> {
    let block = Block::<SignedTransaction>::decode(&mut &*rlp);
    let block = block.map_err(|error| damaged(number, error))?;
    let transactions = block.body.transactions.len();
    // An empty block has no receipts that could have been removed.
    let receipts = kept.or_else(|| (transactions == 0).then(Vec::new));
    if receipts.as_ref().is_some_and(|receipts| receipts.len() != transactions) {
        return Err(damaged(number, "it has another number of receipts than transactions"));
    }
    Ok(KeptBlock { hash, block, receipts, size: rlp.len() })
}
