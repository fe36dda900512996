//! Blocks that clients ask for: from memory, or from the store.

use crate::{
    error::RpcError,
    restart,
    shared::{Shared, View},
    stored::StoredBlock,
};
use alloy_consensus::{Header, transaction::Recovered};
use alloy_primitives::B256;
use braid_chain::{
    ExecutedBlock, Head, Snapshot, StoreError, pool::SignedTransaction, rlp::decode_header,
};
use std::sync::Arc;

impl<S: Snapshot> Shared<S> {
    /// Returns a block that is not in memory, in RLP.
    fn rlp(&self, view: &View<S>, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let oldest = self.history().oldest_kept();
        // A snapshot may still have a block that has been removed.
        if number > view.head.number() || oldest.is_none_or(|oldest| number < oldest) {
            return Ok(None);
        }
        match layer(view, number) {
            Some(layer) => Ok(Some(layer.rlp.to_vec())),
            None => view.state.reader().block(number),
        }
    }

    /// Returns the block with this number, if it is kept and clients see it.
    pub(crate) fn block(&self, number: u64) -> Result<Option<Arc<StoredBlock>>, RpcError> {
        let in_memory = self.history().by_number(number);
        if in_memory.is_some() {
            return Ok(in_memory);
        }
        let view = self.view();
        let Some(rlp) = self.rlp(&view, number)? else { return Ok(None) };
        let header = decode_header(&rlp).map_err(|_| unreadable(number))?;
        let head = Head { number, hash: header.hash_slow() };
        if let Some(block) = self.read_blocks.get(head.hash) {
            return Ok(Some(block));
        }
        let receipts = match layer(&view, number) {
            Some(layer) => Some(layer.receipts.to_vec()),
            None => view.state.reader().receipts(number)?,
        };
        let block = restart::block(head, (rlp, receipts), &self.producer.rules);
        let block = Arc::new(block.map_err(|error| RpcError::Internal(error.to_string()))?);
        self.read_blocks.put(Arc::clone(&block));
        Ok(Some(block))
    }

    /// Returns the header of the block with this number, without decoding its transactions.
    pub(crate) fn header(&self, number: u64) -> Result<Option<Header>, RpcError> {
        if let Some(block) = self.history().by_number(number) {
            return Ok(Some(block.header.clone()));
        }
        let Some(rlp) = self.rlp(&self.view(), number)? else { return Ok(None) };
        decode_header(&rlp).map(Some).map_err(|_| unreadable(number))
    }

    /// Returns the number of the block with this hash, if it is kept and clients see it.
    pub(crate) fn number_of(&self, hash: B256) -> Result<Option<u64>, RpcError> {
        if let Some(block) = self.history().by_hash(&hash) {
            return Ok(Some(block.number()));
        }
        let view = self.view();
        if let Some(layer) = view.state.layers().iter().find(|layer| layer.head.hash == hash) {
            return Ok(Some(layer.head.number));
        }
        Ok(view.state.reader().block_number(hash)?)
    }

    /// Returns the block with this hash, if it is kept and clients see it.
    pub(crate) fn block_by_hash(&self, hash: B256) -> Result<Option<Arc<StoredBlock>>, RpcError> {
        let in_memory = self.history().by_hash(&hash);
        if in_memory.is_some() {
            return Ok(in_memory);
        }
        let number = self.number_of(hash)?;
        let Some(number) = number else { return Ok(None) };
        Ok(self.block(number)?.filter(|block| block.hash == hash))
    }

    /// Returns the block that contains a transaction, and the transaction's index in it.
    pub(crate) fn mined(&self, hash: B256) -> Result<Option<(Arc<StoredBlock>, usize)>, RpcError> {
        let in_memory = self.history().transaction(&hash);
        if in_memory.is_some() {
            return Ok(in_memory);
        }
        let view = self.view();
        if let Some(position) = view.state.reader().transaction_position(hash)? {
            let index = position.index as usize;
            let is_it = |block: &Arc<StoredBlock>| {
                block.transactions.get(index).is_some_and(|it| *it.hash() == hash)
            };
            return Ok(self.block(position.block)?.filter(is_it).map(|block| (block, index)));
        }
        // The index lacks blocks that were not written when the state was read. They are few, and
        // nearly always in memory.
        let oldest = self.history().oldest();
        for layer in view.state.layers().iter().filter(|it| Some(it.head.number) < oldest) {
            let Some(block) = self.block(layer.head.number)? else { continue };
            if let Some(index) = block.transactions.iter().position(|it| *it.hash() == hash) {
                return Ok(Some((block, index)));
            }
        }
        Ok(None)
    }
}

/// Returns the block that is not written yet, as far as the view's snapshot knows.
fn layer<S: Snapshot>(view: &View<S>, number: u64) -> Option<&ExecutedBlock> {
    let layers = view.state.layers().iter();
    layers.map(|layer| &**layer).find(|layer| layer.head.number == number)
}

/// A transaction that was sent to the node.
pub(crate) enum Sent {
    /// It is in this block, at this index.
    Mined(Arc<StoredBlock>, usize),
    /// It is in the pool, or in a block that clients do not see yet.
    Waiting(Box<Recovered<SignedTransaction>>),
}

impl<S: Snapshot> Shared<S> {
    /// Returns a transaction by its hash.
    pub(crate) fn sent(&self, hash: B256) -> Result<Option<Sent>, RpcError> {
        {
            // Between these steps, no transaction moves from the pool to a block.
            let held = self.hold();
            if let Some((block, index)) = self.history().transaction(&hash) {
                return Ok(Some(Sent::Mined(block, index)));
            }
            if let Some(tx) = held.pool.get(&hash) {
                let waiting = Recovered::new_unchecked(tx.signed().clone(), tx.sender());
                return Ok(Some(Sent::Waiting(Box::new(waiting))));
            }
            if let Some(unseen) = held.unseen(&hash) {
                return Ok(Some(Sent::Waiting(Box::new(unseen))));
            }
        }
        // Reading the store takes too long to keep the node waiting.
        Ok(self.mined(hash)?.map(|(block, index)| Sent::Mined(block, index)))
    }
}

fn unreadable(number: u64) -> RpcError {
    RpcError::Internal(format!("block {number} cannot be read; run `braid-node verify`"))
}
