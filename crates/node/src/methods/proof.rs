//! `eth_getProof`: Merkle proofs of an account and of its slots.

use super::{Answer, Args, Context, add};
use crate::{error::RpcError, params};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use alloy_rpc_types_eth::{EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;
use braid_chain::{Snapshot, StateTries};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use revm::DatabaseRef;

/// Maximum number of slots in one request, as in geth.
const SLOTS: usize = 1_024;

/// Registers the method.
pub(super) fn register<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    add(module, "eth_getProof", proof)
}

fn proof<S: Snapshot>(it: &Context<S>, args: &mut Args<'_>) -> Answer<EIP1186AccountProofResponse> {
    let (address, slots) = (args.next::<Address>()?, args.next::<Vec<String>>()?);
    if slots.len() > SLOTS {
        let asked = slots.len();
        let why = format!("too many storage keys requested (max {SLOTS}, got {asked})");
        return Err(RpcError::Params(why).into());
    }
    let keys = slots.iter().map(|slot| key(slot)).collect::<Result<Vec<_>, _>>()?;
    let state = params::state(&it.shared, args.maybe()?)?;
    let account = state.basic_ref(address).map_err(RpcError::State)?.unwrap_or_default();
    let tries = StateTries::of(&state).map_err(RpcError::State)?;
    let none = || match state.is_archived() {
        true => RpcError::OldState { asked: state.number(), head: it.shared.view().head.number() },
        false => RpcError::Override("the chain has no state roots, so nothing to prove".to_owned()),
    };
    let tries = tries.ok_or_else(none)?;
    let proved = tries.prove_account(address).map_err(RpcError::State)?;
    let mut storage_proof = Vec::new();
    for key in keys {
        args.place.check()?;
        let proved = tries.prove_slot(address, key.as_b256().into()).map_err(RpcError::State)?;
        storage_proof.push(EIP1186StorageProof { key, value: proved.value, proof: proved.nodes });
    }
    Ok(EIP1186AccountProofResponse {
        address,
        balance: account.balance,
        code_hash: if account.is_empty_code_hash() { KECCAK256_EMPTY } else { account.code_hash },
        nonce: account.nonce,
        storage_hash: proved.storage_root,
        account_proof: proved.nodes,
        storage_proof,
    })
}

/// Parses a slot. As in geth, a key of 32 bytes is returned as it is, and any other as a number.
fn key(text: &str) -> Result<JsonStorageKey, RpcError> {
    let slot: U256 = params::slot(text)?;
    Ok(match text.len() {
        66 => JsonStorageKey::Hash(B256::from(slot)),
        _ => JsonStorageKey::Number(slot),
    })
}
