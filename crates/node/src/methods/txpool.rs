//! `txpool_*`: the transactions that wait in the pool.

use super::{Answer, Context, add, waiting_transaction};
use crate::stored::RpcTransaction;
use alloy_consensus::{Transaction as _, transaction::Recovered};
use alloy_primitives::{Address, U64};
use braid_chain::{Snapshot, pool::PoolTransaction};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// Transactions by nonce.
type Queue<T> = BTreeMap<String, T>;

/// Transactions of which none before is missing, and the other ones.
#[derive(Clone, Debug, Serialize)]
struct Waiting<T> {
    pending: T,
    queued: T,
}

/// Registers the methods.
pub(super) fn register<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    add(module, "txpool_content", |it, _| Ok(by_sender(it, response)))?;
    add(module, "txpool_contentFrom", |it, args| {
        let sender = args.next::<Address>()?.to_checksum(None);
        let mut all = by_sender(it, response);
        let of = |queues: &mut BTreeMap<_, _>| queues.remove(&sender).unwrap_or_default();
        Ok(Waiting { pending: of(&mut all.pending), queued: of(&mut all.queued) })
    })?;
    add(module, "txpool_inspect", |it, _| Ok(by_sender(it, summary)))?;
    add(module, "txpool_status", |it, _| -> Answer<_> {
        let all = it.shared.hold().pool.transactions();
        let pending = all.iter().filter(|(_, is_next)| *is_next).count();
        let queued = all.len().saturating_sub(pending);
        Ok(Waiting { pending: U64::from(pending), queued: U64::from(queued) })
    })
}

/// Arranges the pool by sender and nonce. Addresses are written with their checksums, as in geth.
fn by_sender<S: Snapshot, T>(
    it: &Context<S>,
    shown: fn(&PoolTransaction) -> T,
) -> Waiting<BTreeMap<String, Queue<T>>> {
    let all: Vec<(Arc<PoolTransaction>, bool)> = it.shared.hold().pool.transactions();
    let mut waiting = Waiting { pending: BTreeMap::new(), queued: BTreeMap::new() };
    for (transaction, is_next) in all {
        let queues = if is_next { &mut waiting.pending } else { &mut waiting.queued };
        let queue: &mut Queue<T> =
            queues.entry(transaction.sender().to_checksum(None)).or_default();
        queue.insert(transaction.nonce().to_string(), shown(&transaction));
    }
    waiting
}

fn response(transaction: &PoolTransaction) -> RpcTransaction {
    let signed = transaction.signed().clone();
    waiting_transaction(Recovered::new_unchecked(signed, transaction.sender()))
}

/// Describes a transaction in geth's words.
fn summary(transaction: &PoolTransaction) -> String {
    let signed = transaction.signed();
    let to = signed.to().map(|to| to.to_checksum(None));
    let to = to.unwrap_or_else(|| "contract creation".to_owned());
    let (value, gas) = (signed.value(), signed.gas_limit());
    format!("{to}: {value} wei + {gas} gas \u{d7} {} wei", signed.max_fee_per_gas())
}
