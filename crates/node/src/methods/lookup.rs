//! Methods that find parts of blocks: by index, by hash, and in RLP.

use super::{Answer, Args, Context, add};
use crate::{
    blocks::Sent,
    error::RpcError,
    params::{self, block},
    receipts,
    shared::Shared,
    stored::{RpcTransaction, StoredBlock},
};
use alloy_consensus::{Header, Sealable};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::{Block, BlockTransactions, Header as RpcHeader};
use braid_chain::{Snapshot, pool::SignedTransaction};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use revm::DatabaseRef;
use std::{collections::BTreeMap, sync::Arc};

/// Maximum number of slots in one request of `eth_getStorageValues`, as in geth.
const SLOTS: usize = 1_024;

type Found = Answer<Option<Arc<StoredBlock>>>;

fn by_hash<S: Snapshot>(it: &Context<S>, args: &mut Args<'_>) -> Found {
    Ok(block(&it.shared, args.next::<B256>()?.into())?)
}

fn by_number<S: Snapshot>(it: &Context<S>, args: &mut Args<'_>) -> Found {
    Ok(block(&it.shared, args.next::<BlockNumberOrTag>()?.into())?)
}

/// Returns the index that a request names next.
fn index(args: &mut Args<'_>) -> Answer<usize> {
    Ok(args.next::<U64>()?.saturating_to())
}

fn transaction(found: Found, args: &mut Args<'_>) -> Answer<Option<RpcTransaction>> {
    let (found, index) = (found?, index(args)?);
    Ok(found.and_then(|block| block.transaction(index)))
}

/// Returns the bytes of a transaction.
fn raw_transaction(found: Found, args: &mut Args<'_>) -> Answer<Option<Bytes>> {
    let (found, index) = (found?, index(args)?);
    Ok(found.and_then(|block| Some(block.transactions.get(index)?.encoded_2718().into())))
}

fn uncle(found: Found, args: &mut Args<'_>) -> Answer<Option<Block<RpcTransaction>>> {
    let (found, index) = (found?, index(args)?);
    Ok(found.and_then(|block| block.ommers().get(index).cloned()).map(uncle_block))
}

fn uncle_block(header: Header) -> Block<RpcTransaction> {
    let size = alloy_consensus::Block::<SignedTransaction>::uncle(header.clone());
    let size = U256::from(alloy_rlp::Encodable::length(&size));
    let header = RpcHeader::from_consensus(header.seal_slow(), None, Some(size));
    let (transactions, uncles) = (BlockTransactions::Uncle, Vec::new());
    Block { header, uncles, transactions, withdrawals: None }
}

/// Registers the methods.
pub(super) fn register<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    add(module, "eth_getTransactionByBlockHashAndIndex", |it, args| {
        transaction(by_hash(it, args), args)
    })?;
    add(module, "eth_getTransactionByBlockNumberAndIndex", |it, args| {
        transaction(by_number(it, args), args)
    })?;
    add(module, "eth_getRawTransactionByBlockHashAndIndex", |it, args| {
        raw_transaction(by_hash(it, args), args)
    })?;
    add(module, "eth_getRawTransactionByBlockNumberAndIndex", |it, args| {
        raw_transaction(by_number(it, args), args)
    })?;
    add(module, "eth_getRawTransactionByHash", |it, args| Ok(raw(&it.shared, args.next()?)?))?;
    add(module, "eth_getBlockTransactionCountByHash", |it, args| {
        Ok(by_hash(it, args)?.map(|block| U64::from(block.transactions.len())))
    })?;
    add(module, "eth_getUncleCountByBlockHash", |it, args| {
        Ok(by_hash(it, args)?.map(|block| U64::from(block.ommers().len())))
    })?;
    add(module, "eth_getUncleCountByBlockNumber", |it, args| {
        Ok(by_number(it, args)?.map(|block| U64::from(block.ommers().len())))
    })?;
    add(module, "eth_getUncleByBlockHashAndIndex", |it, args| uncle(by_hash(it, args), args))?;
    add(module, "eth_getUncleByBlockNumberAndIndex", |it, args| uncle(by_number(it, args), args))?;
    add(module, "eth_getHeaderByHash", |it, args| {
        Ok(by_hash(it, args)?.map(|block| block.rpc_header()))
    })?;
    add(module, "eth_getHeaderByNumber", |it, args| {
        Ok(by_number(it, args)?.map(|block| block.rpc_header()))
    })?;
    add(module, "eth_getStorageValues", storage_values)?;
    raw_methods(module)
}

/// Registers the methods that return RLP.
fn raw_methods<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    add(module, "debug_getRawHeader", |it, args| {
        let block = required(&it.shared, args.next()?)?;
        Ok(Bytes::from(alloy_rlp::encode(&block.header)))
    })?;
    add(module, "debug_getRawBlock", |it, args| Ok(required(&it.shared, args.next()?)?.rlp()))?;
    add(module, "debug_getRawReceipts", |it, args| {
        Ok(receipts::raw(&it.shared, &*required(&it.shared, args.next()?)?)?)
    })?;
    add(module, "debug_getRawTransaction", |it, args| {
        Ok(raw(&it.shared, args.next()?)?.unwrap_or_default())
    })
}

/// Returns a block that must be there.
pub(super) fn required<S: Snapshot>(
    shared: &Shared<S>,
    id: BlockId,
) -> Result<Arc<StoredBlock>, RpcError> {
    block(shared, id)?.ok_or_else(|| params::unknown(shared, id))
}

/// Returns the bytes of a transaction in a block, or in the pool.
fn raw<S: Snapshot>(shared: &Shared<S>, hash: B256) -> Result<Option<Bytes>, RpcError> {
    let bytes = match shared.sent(hash)? {
        Some(Sent::Mined(block, index)) => {
            block.transactions.get(index).map(|mined| mined.encoded_2718())
        }
        Some(Sent::Waiting(waiting)) => Some(waiting.encoded_2718()),
        None => None,
    };
    Ok(bytes.map(Bytes::from))
}

type Values = BTreeMap<Address, Vec<B256>>;

fn storage_values<S: Snapshot>(it: &Context<S>, args: &mut Args<'_>) -> Answer<Values> {
    let asked = args.next::<BTreeMap<Address, Vec<B256>>>()?;
    let count: usize = asked.values().map(Vec::len).sum();
    if count == 0 {
        return Err(RpcError::Params("empty request".to_owned()).into());
    }
    if count > SLOTS {
        let why = format!("too many slots (max {SLOTS})");
        return Err(RpcError::Coded(super::TOO_MUCH, why).into());
    }
    let state = params::state(&it.shared, args.maybe()?)?;
    let read = |(address, slots): (Address, Vec<B256>)| {
        let values = slots.iter().map(|slot| state.storage_ref(address, (*slot).into()));
        let values: Result<Vec<_>, _> = values.map(|value| value.map(B256::from)).collect();
        values.map(|values| (address, values))
    };
    Ok(asked.into_iter().map(read).collect::<Result<_, _>>().map_err(RpcError::State)?)
}
