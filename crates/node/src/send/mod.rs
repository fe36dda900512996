//! `eth_sendRawTransaction`.

use crate::{
    error::RpcError,
    shared::{SendError, Shared},
};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Bytes};
use braid_chain::{
    Snapshot,
    pool::{NetworkTransaction, PoolError, SignedTransaction},
};

/// EIP-2718 type of blob transactions.
const BLOBS: u8 = 3;

/// Adds a signed transaction to the pool.
pub(crate) fn send<S: Snapshot>(shared: &Shared<S>, raw: &Bytes) -> Result<B256, RpcError> {
    running(shared)?;
    if let Some(upstream) = shared.upstream.get() {
        return upstream.send(raw).map_err(|why| RpcError::of(upstream, why));
    }
    // A blob transaction has its sidecar only in the encoding that wallets send.
    if raw.first() == Some(&BLOBS) && SignedTransaction::decode_2718_exact(raw).is_ok() {
        shared.usage().refused(&PoolError::Blobs);
        return Err(RpcError::Refused(PoolError::Blobs));
    }
    let mut bytes: &[u8] = raw;
    let signed = NetworkTransaction::decode_2718(&mut bytes);
    let signed =
        signed.map_err(|error| RpcError::Params(format!("no signed transaction: {error}")))?;
    if !bytes.is_empty() {
        return Err(RpcError::Params("bytes follow the signed transaction".to_owned()));
    }
    shared.send_network(signed).map_err(refused)
}

/// Fails if the node makes no more blocks.
pub(crate) fn running<S: Snapshot>(shared: &Shared<S>) -> Result<(), RpcError> {
    match shared.stopped() {
        Some(why) => Err(RpcError::Internal(format!("no more blocks are made: {why}"))),
        None => Ok(()),
    }
}

/// Returns the error for a transaction that was not added to the pool.
pub(crate) fn refused(error: SendError) -> RpcError {
    match error {
        SendError::Pool(error) => RpcError::Refused(error),
        SendError::State(error) => RpcError::State(error),
    }
}

#[cfg(test)]
mod blobs;
#[cfg(test)]
mod tests;
