//! Methods about the node and its chain.

mod config;

use super::{Context, add};
use crate::error::RpcError;
use alloy_primitives::{B256, Bytes, U64, U256, keccak256};
use braid_chain::Snapshot;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf};

/// Registers the methods.
pub(super) fn register<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    add(module, "web3_sha3", |_, args| Ok(keccak256(args.next::<Bytes>()?)))?;
    add(module, "net_peerCount", |_, _| Ok(U64::ZERO))?;
    add(module, "rpc_modules", |it, _| {
        let names = ["debug", "eth", "net", "rpc", "trace", "txpool", "web3"];
        let own = it.shared.checkpoints.get().map(|_| "braid");
        Ok(names.into_iter().chain(own).map(|name| (name, "1.0")).collect::<BTreeMap<_, _>>())
    })?;
    add(module, "eth_baseFee", |it, _| {
        let view = it.shared.view();
        let has_fees = view.head.header.base_fee_per_gas.is_some();
        Ok(has_fees.then(|| U256::from(view.next_base_fee)))
    })?;
    add(module, "eth_blobBaseFee", |it, _| {
        let (_, env) = it.shared.producer.rules.environment(&it.shared.view().head.header);
        let price = env.blob_excess_gas_and_price.map(|blob| U256::from(blob.blob_gasprice));
        Ok(price.ok_or_else(|| RpcError::Override("the chain has no blobs yet".to_owned()))?)
    })?;
    add(module, "eth_config", |it, _| Ok(config::config(&it.shared)?))?;
    add(module, "eth_capabilities", |it, _| Ok(capabilities(it)?))
}

/// Registers the method of a node that writes checkpoints.
pub(super) fn register_checkpoint<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    add(module, "braid_checkpoint", |it, args| Ok(checkpoint(it, args.maybe()?)?))
}

/// Result of `braid_checkpoint`.
#[derive(Clone, Debug, Serialize)]
struct Checkpoint {
    number: U64,
    hash: B256,
    path: PathBuf,
    complete: bool,
}

fn checkpoint<S: Snapshot>(it: &Context<S>, hash: Option<B256>) -> Result<Checkpoint, RpcError> {
    let checkpoints = it.shared.checkpoints.get();
    let none = || RpcError::Internal("the node writes no checkpoints".to_owned());
    let checkpoints = checkpoints.ok_or_else(none)?;
    let asked = match hash {
        Some(hash) => checkpoints.find(hash),
        None => checkpoints.begin(),
    };
    let asked = asked.map_err(|error| RpcError::Override(error.to_string()))?;
    Ok(Checkpoint {
        number: U64::from(asked.head.number),
        hash: asked.head.hash,
        path: asked.folder,
        complete: asked.is_complete,
    })
}

/// Result of `eth_capabilities`: the blocks for which the node has each kind of data.
#[derive(Clone, Debug, Serialize)]
struct Capabilities {
    head: Head,
    state: Resource,
    tx: Resource,
    logs: Resource,
    receipts: Resource,
    blocks: Resource,
    stateproofs: Resource,
}

#[derive(Clone, Debug, Serialize)]
struct Head {
    number: U64,
    hash: B256,
}

/// First block for which the node has a kind of data.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_block: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_strategy: Option<Window>,
}

/// Only the last blocks are kept.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Window {
    r#type: &'static str,
    retention_blocks: U64,
}

impl Resource {
    fn since(oldest: u64, window: u64) -> Self {
        // If all blocks are kept, none is deleted.
        let window = (window < u64::MAX)
            .then(|| Window { r#type: "window", retention_blocks: U64::from(window) });
        let oldest_block = Some(U64::from(oldest));
        Self { disabled: false, oldest_block, delete_strategy: window }
    }
}

fn capabilities<S: Snapshot>(it: &Context<S>) -> Result<Capabilities, RpcError> {
    let head = Head {
        number: U64::from(it.shared.view().head.number()),
        hash: it.shared.view().head.hash,
    };
    let (oldest, blocks) = it.shared.window();
    let states = it.shared.past.blocks();
    let oldest_state = head.number.to::<u64>().saturating_add(1).saturating_sub(states);
    let kept = Resource::since(oldest, blocks);
    let state = Resource::since(oldest.max(oldest_state), states);
    let proofs = state.clone();
    let archived = it.shared.view().state.reader().archived_since();
    let state = match archived.map_err(RpcError::State)? {
        Some(since) => Resource::since(since.min(oldest_state), u64::MAX),
        None => state,
    };
    // Without state roots, nothing can be proved.
    let has_roots = !it.shared.view().head.header.state_root.is_zero();
    let none = Resource { disabled: true, oldest_block: None, delete_strategy: None };
    Ok(Capabilities {
        head,
        stateproofs: if has_roots { proofs } else { none },
        state,
        tx: kept.clone(),
        logs: kept.clone(),
        receipts: kept.clone(),
        blocks: kept,
    })
}
