//! The JSON-RPC methods, by name.

mod about;
mod debug;
mod lookup;
mod proof;
mod send_sync;
mod simulate;
mod txpool;

use crate::{
    access_list,
    blocks::Sent,
    call,
    error::RpcError,
    estimate::estimate,
    fees,
    limits::Limits,
    logs,
    params::{self, environment},
    places::Place,
    receipts,
    send::send,
    shared::Shared,
    stored::{RpcTransaction, StoredBlock},
};
use alloy_consensus::transaction::{Recovered, TransactionInfo};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::{
    BlockTransactionsKind, Filter, SyncInfo, SyncStatus, TransactionRequest,
};
use braid_chain::{Snapshot, StoreError, pool::SignedTransaction};
use jsonrpsee::{
    Extensions, RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params, params::ParamsSequence},
};
use revm::{DatabaseRef, state::AccountInfo};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::task::spawn_blocking;

mod accounts;
mod control;
mod filters;

/// State and limits that a call needs.
#[derive(Debug)]
pub(crate) struct Context<S> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) limits: Limits,
}

/// Code of the error for a request that asks for too much at a time, as in geth.
const TOO_MUCH: i32 = -38_026;

pub(crate) type Answer<T> = Result<T, ErrorObjectOwned>;

/// Arguments of a call, and the place of its request.
pub(crate) struct Args<'a> {
    values: ParamsSequence<'a>,
    /// Number of arguments that were read.
    read: usize,
    place: Place,
}

impl Args<'_> {
    fn next<T: DeserializeOwned>(&mut self) -> Answer<T> {
        self.read = self.read.saturating_add(1);
        self.values.next().map_err(|error| self.wrong(&error))
    }

    fn maybe<T: DeserializeOwned>(&mut self) -> Answer<Option<T>> {
        self.read = self.read.saturating_add(1);
        self.values.optional_next().map_err(|error| self.wrong(&error))
    }

    /// Returns the error for the argument that was read last, in geth's words.
    fn wrong(&self, error: &ErrorObjectOwned) -> ErrorObjectOwned {
        let index = self.read.saturating_sub(1);
        let why = error.data().and_then(|why| serde_json::from_str::<String>(why.get()).ok());
        RpcError::Params(match why.as_deref() {
            Some("No more params") => format!("missing value for required argument {index}"),
            Some(why) => {
                let why = why.rsplit_once(" at line ").map_or(why, |(why, _)| why);
                format!("invalid argument {index}: {why}")
            }
            None => format!("invalid argument {index}"),
        })
        .into()
    }
}

/// Registers all methods.
pub(crate) fn module<S: Snapshot>(
    context: Context<S>,
) -> Result<RpcModule<Context<S>>, RegisterMethodError> {
    let is_dev = context.shared.dev().is_some();
    let writes_checkpoints = context.shared.checkpoints.get().is_some();
    let mut module = RpcModule::new(context);
    chain(&mut module)?;
    state(&mut module)?;
    blocks(&mut module)?;
    run(&mut module)?;
    lookup::register(&mut module)?;
    about::register(&mut module)?;
    proof::register(&mut module)?;
    txpool::register(&mut module)?;
    send_sync::register(&mut module)?;
    simulate::register(&mut module)?;
    debug::register(&mut module)?;
    accounts::add_all(&mut module, is_dev)?;
    if is_dev {
        control::add_all(&mut module)?;
    }
    if writes_checkpoints {
        about::register_checkpoint(&mut module)?;
    }
    filters::add_all(&mut module)?;
    Ok(module)
}

/// Registers a method, which runs on a thread where it may block.
pub(crate) fn add<S: Snapshot, T: Serialize + Clone + Send + 'static>(
    module: &mut RpcModule<Context<S>>,
    name: &'static str,
    method: fn(&Context<S>, &mut Args<'_>) -> Answer<T>,
) -> Result<(), RegisterMethodError> {
    type All = Params<'static>;
    let call = move |params: All, context: Arc<Context<S>>, request: Extensions| async move {
        let place = request.get::<Place>().cloned();
        let place = place.ok_or_else(|| RpcError::Internal("it has no place".to_owned()))?;
        place.check()?;
        let work = move || {
            // The call owns the place until it ends, even if its client has disconnected.
            context.shared.show();
            let mut args = Args { values: params.sequence(), read: 0, place };
            method(&context, &mut args)
        };
        let done = spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(RpcError::Internal(error.to_string()).into()))
    };
    module.register_async_method(name, call).map(drop)
}

fn chain<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    add(module, "web3_clientVersion", |it, _| Ok(it.shared.client_version().to_owned()))?;
    add(module, "net_version", |it, _| Ok(it.shared.producer.rules.chain_id().to_string()))?;
    add(module, "net_listening", |_, _| Ok(true))?;
    add(module, "eth_chainId", |it, _| Ok(U64::from(it.shared.producer.rules.chain_id())))?;
    add(module, "eth_blockNumber", |it, _| Ok(U64::from(it.shared.view().head.number())))?;
    add(module, "eth_syncing", |it, _| Ok(syncing(&it.shared)))?;
    add(module, "eth_gasPrice", |it, _| Ok(U256::from(fees::price(&it.shared))))?;
    add(module, "eth_maxPriorityFeePerGas", |it, _| Ok(U256::from(fees::tip(&it.shared))))?;
    add(module, "eth_feeHistory", |it, args| {
        let (count, newest) = (args.next::<U64>()?.to(), args.next::<BlockNumberOrTag>()?);
        // Limited silently: a client gets fewer blocks than it asks for.
        let count = it.limits.fee_blocks.min(count);
        let percentiles: Vec<f64> = args.maybe()?.unwrap_or_default();
        Ok(fees::history(&it.shared, &args.place, count, newest, &percentiles)?)
    })
}

/// Returns how far a follower has come; nothing if it has caught up.
fn syncing<S: Snapshot>(shared: &Shared<S>) -> SyncStatus {
    shared.behind().map_or(SyncStatus::None, |(current, highest)| {
        SyncStatus::Info(Box::new(SyncInfo {
            starting_block: U256::from(shared.first()),
            current_block: U256::from(current),
            highest_block: U256::from(highest),
            ..SyncInfo::default()
        }))
    })
}

fn state<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    add(module, "eth_getBalance", |it, args| {
        let (address, id) = (args.next::<Address>()?, args.maybe()?);
        let account = params::state(&it.shared, id)?.basic_ref(address);
        let account = account.map_err(RpcError::State)?;
        Ok(account.map_or(U256::ZERO, |account| account.balance))
    })?;
    add(module, "eth_getTransactionCount", |it, args| {
        let (address, id) = (args.next::<Address>()?, args.maybe::<BlockId>()?);
        let nonce = |account: Result<Option<AccountInfo>, StoreError>| {
            account.map_err(RpcError::State).map(|it| it.map_or(0, |account| account.nonce))
        };
        if id.is_some_and(|id| id.is_pending()) {
            if let Some(upstream) = it.shared.upstream.get() {
                let nonce = upstream.pending_nonce(address);
                return Ok(nonce.map(U64::from).map_err(|why| RpcError::of(upstream, why))?);
            }
            let held = it.shared.hold();
            let waiting = held.pool.next_nonce(&address).unwrap_or_default();
            return Ok(U64::from(nonce(held.view().state.basic_ref(address))?.max(waiting)));
        }
        Ok(U64::from(nonce(params::state(&it.shared, id)?.basic_ref(address))?))
    })?;
    add(module, "eth_getCode", |it, args| {
        let (address, id) = (args.next::<Address>()?, args.maybe()?);
        let state = params::state(&it.shared, id)?;
        let account = state.basic_ref(address).map_err(RpcError::State)?;
        let Some(account) = account.filter(|account| !account.is_empty_code_hash()) else {
            return Ok(Bytes::new());
        };
        let code = state.code_by_hash_ref(account.code_hash).map_err(RpcError::State)?;
        Ok(code.original_bytes())
    })?;
    add(module, "eth_getStorageAt", |it, args| {
        let (address, slot) = (args.next::<Address>()?, args.next::<String>()?);
        let state = params::state(&it.shared, args.maybe()?)?;
        let value = state.storage_ref(address, params::slot(&slot)?).map_err(RpcError::State)?;
        Ok(B256::from(value))
    })
}

fn blocks<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    add(module, "eth_getBlockByNumber", |it, args| {
        let (tag, full) = (args.next::<BlockNumberOrTag>()?, args.maybe()?);
        let block = params::block(&it.shared, tag.into())?;
        Ok(block.map(|block| block.block(kind(full))))
    })?;
    add(module, "eth_getBlockByHash", |it, args| {
        let (hash, full) = (args.next::<B256>()?, args.maybe()?);
        let block = it.shared.block_by_hash(hash)?;
        Ok(block.map(|block| block.block(kind(full))))
    })?;
    add(module, "eth_getTransactionByHash", |it, args| {
        Ok(match it.shared.sent(args.next()?)? {
            Some(Sent::Mined(block, index)) => block.transaction(index),
            Some(Sent::Waiting(waiting)) => Some(waiting_transaction(*waiting)),
            None => None,
        })
    })?;
    add(module, "eth_getTransactionReceipt", |it, args| {
        let found = it.shared.mined(args.next()?)?;
        let one =
            |(block, index): (Arc<StoredBlock>, usize)| receipts::one(&it.shared, &block, index);
        Ok(found.map(one).transpose()?.flatten())
    })?;
    add(module, "eth_getBlockReceipts", |it, args| {
        let block = params::block(&it.shared, args.next()?)?;
        Ok(block.map(|block| receipts::all(&it.shared, &block)).transpose()?)
    })?;
    add(module, "eth_getBlockTransactionCountByNumber", |it, args| {
        let block = params::block(&it.shared, args.next::<BlockNumberOrTag>()?.into())?;
        Ok(block.map(|block| U64::from(block.transactions.len())))
    })?;
    add(module, "eth_getLogs", |it, args| {
        let filter = args.next::<Filter>()?;
        Ok(logs::logs(&it.shared, &args.place, it.limits.logs, &filter)?)
    })
}

/// How a block's transactions are returned: in full, or as hashes.
fn kind(full: Option<bool>) -> BlockTransactionsKind {
    match full {
        Some(true) => BlockTransactionsKind::Full,
        Some(false) | None => BlockTransactionsKind::Hashes,
    }
}

/// Makes the response for a transaction that is in no block visible to clients.
fn waiting_transaction(waiting: Recovered<SignedTransaction>) -> RpcTransaction {
    RpcTransaction::from_transaction(waiting, TransactionInfo::default())
}

fn run<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    add(module, "eth_sendRawTransaction", |it, args| {
        Ok(send(&it.shared, &args.next::<Bytes>()?)?)
    })?;
    add(module, "eth_call", |it, args| {
        let request = args.next::<TransactionRequest>()?;
        let at = environment(&it.shared, args.maybe()?.unwrap_or_default())?;
        let at = at.overridden(args.maybe()?, args.maybe()?)?;
        let gas = call::gas(&at, &request, it.limits.call_gas);
        let tx = call::transaction(&at, &request, gas)?;
        let result = call::run(&at, tx.clone())?;
        Ok(call::output(&at, &tx, result)?)
    })?;
    add(module, "eth_estimateGas", |it, args| {
        let request = args.next::<TransactionRequest>()?;
        // Default: the transaction will be in the next block, not in the last one.
        let at = environment(&it.shared, args.maybe()?.unwrap_or(BlockId::pending()))?;
        let at = at.overridden(args.maybe()?, args.maybe()?)?;
        Ok(U64::from(estimate(&at, &request, it.limits.call_gas, &args.place)?))
    })?;
    add(module, "eth_createAccessList", |it, args| {
        let request = args.next::<TransactionRequest>()?;
        let at = environment(&it.shared, args.maybe()?.unwrap_or(BlockId::pending()))?;
        let at = at.overridden(args.maybe()?, args.maybe()?)?;
        let is_declared = it.shared.producer.rules.are_accesses_declared();
        let within = (it.limits.call_gas, &args.place);
        Ok(access_list::create(&at, is_declared, &request, within)?)
    })
}

#[cfg(test)]
mod tests;
