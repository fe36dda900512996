//! Methods of the accounts whose keys a development node has. An ordinary node has no accounts.

use super::{Answer, Args, Context, RegisterMethodError, add};
use crate::{
    accounts::{impersonation, signed},
    dev::Dev,
    error::RpcError,
    estimate::estimate,
    fees,
    params::environment,
    send::{refused, running},
    shared::Shared,
};
use alloy_consensus::TypedTransaction;
use alloy_dyn_abi::TypedData;
use alloy_eips::{BlockId, eip2718::Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U256, eip191_hash_message};
use alloy_rpc_types_eth::TransactionRequest;
use braid_blocks::keys::Key;
use braid_chain::{Snapshot, pool::SignedTransaction};
use jsonrpsee::RpcModule;
use revm::DatabaseRef;
use serde::Serialize;
use serde_json::Value;

/// Registers the methods. Methods that need a key exist only on a development node.
pub(super) fn add_all<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
    is_dev: bool,
) -> Result<(), RegisterMethodError> {
    for name in ["eth_accounts", "eth_requestAccounts"] {
        add(module, name, |it, _| {
            Ok(it.shared.dev().map(|dev| dev.accounts.addresses()).unwrap_or_default())
        })?;
    }
    if is_dev {
        add(module, "eth_sign", |it, args| {
            let (address, message) = (args.next::<Address>()?, args.next::<Bytes>()?);
            sign(it, &address, eip191_hash_message(message))
        })?;
        add(module, "personal_sign", |it, args| {
            let (message, address) = (args.next::<Bytes>()?, args.next::<Address>()?);
            sign(it, &address, eip191_hash_message(message))
        })?;
        for name in ["eth_signTypedData_v4", "eth_signTypedData"] {
            add(module, name, |it, args| {
                let address = args.next::<Address>()?;
                sign(it, &address, typed_hash(args.next()?)?)
            })?;
        }
        add(module, "eth_signTransaction", |it, args| {
            let request = args.next::<TransactionRequest>()?;
            Ok(SignedAnswer::of(&sign_transaction(it, args, request)?.0))
        })?;
        add(module, "eth_sendTransaction", |it, args| {
            let request = args.next::<TransactionRequest>()?;
            running(&it.shared)?;
            let (transaction, impersonated) = sign_transaction(it, args, request)?;
            let sent = match impersonated {
                Some(sender) => it.shared.send_as(sender, transaction),
                None => it.shared.send(transaction),
            };
            Ok(sent.map_err(refused)?)
        })?;
    }
    Ok(())
}

/// Result of `eth_signTransaction`.
#[derive(Clone, Serialize)]
struct SignedAnswer {
    raw: Bytes,
    tx: SignedTransaction,
}

impl SignedAnswer {
    fn of(tx: &SignedTransaction) -> Self {
        Self { raw: tx.encoded_2718().into(), tx: tx.clone() }
    }
}

/// Returns the controls of the node.
pub(super) fn dev<S: Snapshot>(shared: &Shared<S>) -> Result<&Dev, RpcError> {
    let missing = || RpcError::Params("only a development node has this method".to_owned());
    shared.dev().ok_or_else(missing)
}

/// Error for an address whose key the node does not have, in geth's words.
fn unknown_account(address: &Address) -> RpcError {
    RpcError::Params(format!(
        "unknown account {address}: the node has no key of it; eth_accounts lists its accounts"
    ))
}

fn account<'s, S: Snapshot>(shared: &'s Shared<S>, address: &Address) -> Result<&'s Key, RpcError> {
    dev(shared)?.accounts.get(address).ok_or_else(|| unknown_account(address))
}

fn sign<S: Snapshot>(it: &Context<S>, address: &Address, hash: B256) -> Answer<Bytes> {
    let signature = account(&it.shared, address)?.sign(hash);
    Ok(Bytes::from(signature.as_bytes()))
}

/// Returns the hash that a wallet signs for typed data (EIP-712), which clients send as an object or
/// as its JSON in a string.
fn typed_hash(data: Value) -> Result<B256, RpcError> {
    let data: Result<TypedData, _> = match data {
        Value::String(text) => serde_json::from_str(&text),
        data => serde_json::from_value(data),
    };
    let wrong = |why: String| RpcError::Params(format!("no typed data of EIP-712: {why}"));
    let data = data.map_err(|error| wrong(error.to_string()))?;
    data.eip712_signing_hash().map_err(|error| wrong(error.to_string()))
}

/// Signs the transaction that a client describes. Also returns its sender if the sender is
/// impersonated.
fn sign_transaction<S: Snapshot>(
    it: &Context<S>,
    args: &Args<'_>,
    request: TransactionRequest,
) -> Result<(SignedTransaction, Option<Address>), RpcError> {
    let missing = || RpcError::Params("the transaction has no field `from`".to_owned());
    let sender = request.from.ok_or_else(missing)?;
    let dev = dev(&it.shared)?;
    let known = dev.accounts.get(&sender);
    let is_impersonated = dev.is_impersonated(&sender);
    if known.is_none() && !is_impersonated {
        return Err(unknown_account(&sender));
    }
    let filled = filled(it, args, request)?;
    let (signed, impersonated) = match known {
        Some(account) => (signed(filled, |hash| account.sign(hash)), None),
        None => (signed(filled, |_| impersonation(sender)), Some(sender)),
    };
    let blobs = || RpcError::Params("blob transactions are not supported".to_owned());
    Ok((signed.ok_or_else(blobs)?, impersonated))
}

/// Fills in the fields that a client leaves to the node: nonce, fees, gas limit and chain id.
fn filled<S: Snapshot>(
    it: &Context<S>,
    args: &Args<'_>,
    mut request: TransactionRequest,
) -> Result<TypedTransaction, RpcError> {
    let shared = &it.shared;
    let chain_id = shared.producer.rules.chain_id();
    if let Some(other) = request.chain_id.filter(|id| *id != chain_id) {
        return Err(RpcError::Params(format!("chain id {other}: this chain has {chain_id}")));
    }
    request.chain_id = Some(chain_id);
    let sender = request.from.unwrap_or_default();
    if request.nonce.is_none() {
        let held = shared.hold();
        let account = held.view().state.basic_ref(sender)?;
        let waiting = held.pool.next_nonce(&sender).unwrap_or_default();
        request.nonce = Some(account.map_or(0, |account| account.nonce).max(waiting));
    }
    if request.gas_price.is_none() && matches!(request.transaction_type, Some(0 | 1)) {
        request.gas_price = Some(fees::price(shared));
    } else if request.gas_price.is_none() {
        let tip = request.max_priority_fee_per_gas;
        let tip = tip.or(request.max_fee_per_gas.map(|most| most.min(fees::tip(shared))));
        let tip = tip.unwrap_or_else(|| fees::tip(shared));
        let base_fee = u128::from(shared.made().next_base_fee);
        let most = request.max_fee_per_gas;
        // Enough for a few full blocks that come before this transaction.
        let most = most.unwrap_or_else(|| base_fee.saturating_mul(2).saturating_add(tip));
        (request.max_priority_fee_per_gas, request.max_fee_per_gas) = (Some(tip), Some(most));
    }
    if request.to.is_none() {
        request.to = Some(alloy_primitives::TxKind::Create);
    }
    request.value.get_or_insert(U256::ZERO);
    if request.gas.is_none() {
        let at = environment(shared, BlockId::pending())?;
        request.gas = Some(estimate(&at, &request, it.limits.call_gas, &args.place)?);
    }
    // The input in either of its two fields.
    let input = request.input.unique_input();
    let input = input.map_err(|error| RpcError::Params(error.to_string()))?.cloned();
    request.input = input.unwrap_or_default().into();
    // Checked before: the same request was run to estimate its gas, or has all fields.
    let incomplete = |_| RpcError::Params("the transaction's fields contradict each other".into());
    request.build_typed_tx().map_err(incomplete)
}
