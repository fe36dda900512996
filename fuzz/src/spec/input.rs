//! Random blocks as input of a transition tool, with keys, system contracts and deposits.

use crate::code::Code;
use crate::generate::{self, bytes_of_seed};
use crate::memory::{MemoryAccount, MemoryDatabase};
use alloy_eips::{eip2935, eip4788, eip7002, eip7251, eip7702::Authorization};
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use braid_blocks::{fork::named, keys::Key};
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::context_interface::either::Either;
use revm::primitives::hardfork::SpecId;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Older forks, the first of which have state roots in their receipts.
pub const OLD_FORKS: Forks =
    ["Frontier", "Homestead", "EIP150", "EIP158", "Byzantium", "ConstantinopleFix", "Istanbul"];

/// Forks with typed transactions.
pub const FORKS: Forks = ["Berlin", "London", "Paris", "Shanghai", "Cancun", "Prague", "Osaka"];

/// The deposit contract, which every tool knows.
const DEPOSITS: Address = address!("00000000219ab540356cbb839cbe05303d7705fa");

/// Names of forks.
pub type Forks = [&'static str; 7];

/// Keys of the senders.
#[derive(Clone, Debug)]
pub struct Signers {
    keys: BTreeMap<Address, Key>,
    addresses: [Address; 7],
}

impl Default for Signers {
    fn default() -> Self {
        let keys: [_; 7] =
            core::array::from_fn(|index| key([b"signer", &[index as u8][..]].concat()));
        Self {
            keys: keys.iter().map(|key| (key.address(), *key)).collect(),
            addresses: keys.map(|key| key.address()),
        }
    }
}

/// Returns the key that is the hash of `name`.
fn key(name: impl AsRef<[u8]>) -> Key {
    Key::new(keccak256(name)).expect("a hash is a key")
}

/// Input of one transition.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of the fork.
    pub fork: &'static str,
    /// Block reward in wei; -1 for none.
    pub reward: i128,
    /// One object with `alloc`, `env` and `txs`.
    pub input: Value,
}

/// Returns the input for `seed`, under the rules of one of `forks`. With `spoilt`, one of its
/// transactions is always rejected.
#[must_use]
pub fn case(seed: u64, forks: &Forks, signers: &Signers, spoilt: bool) -> Case {
    let fork = forks[(seed % forks.len() as u64) as usize];
    let spec = named(fork).expect("a fork has rules").spec;
    let mut generated = generate::Case::with_senders(seed, spec, &signers.addresses);
    let since = |fork| spec.is_enabled_in(fork);
    generated.accounts.retain(|_, account| is_possible(account));
    install_system_contracts(&mut generated.accounts, spec);
    let mut txs: Vec<Value> = generated
        .block
        .transactions
        .iter()
        .enumerate()
        .map(|(index, tx)| transaction(tx, index, seed, signers))
        .collect();
    if since(SpecId::PRAGUE) {
        request(&mut generated.accounts, &mut txs, seed);
    }
    if spoilt {
        let at = (seed / 7) as usize % (txs.len() + 1);
        txs.insert(at, refused(seed, signers));
    }
    let env = environment(&generated, spec, seed);
    let alloc = alloc(&generated.accounts);
    let reward = if seed.is_multiple_of(3) { -1 } else { 2_000_000_000_000_000_000 };
    Case { fork, reward, input: json!({ "alloc": alloc, "env": env, "txs": txs }) }
}

fn hex(number: impl core::fmt::LowerHex) -> Value {
    json!(format!("{number:#x}"))
}

/// Returns whether an account can exist since EIP-161. The specification rejects empty accounts,
/// and treats accounts with storage but no contract by EIP-7610, which revm does not implement.
fn is_possible(account: &MemoryAccount) -> bool {
    let is_blank = account.nonce == 0 && account.code.is_empty();
    !(is_blank && (account.balance.is_zero() || !account.storage.is_empty()))
}

/// Installs the contracts that the protocol calls, as they are on every chain.
fn install_system_contracts(accounts: &mut BTreeMap<Address, MemoryAccount>, spec: SpecId) {
    let known = [
        (SpecId::CANCUN, eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE),
        (SpecId::PRAGUE, eip2935::HISTORY_STORAGE_ADDRESS, &eip2935::HISTORY_STORAGE_CODE),
        (
            SpecId::PRAGUE,
            eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
            &eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE,
        ),
        (
            SpecId::PRAGUE,
            eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
            &eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE,
        ),
    ];
    for (since, address, code) in known {
        if spec.is_enabled_in(since) {
            let account =
                MemoryAccount { nonce: 1, code: code.to_vec().into(), ..Default::default() };
            accounts.insert(address, account);
        }
    }
}

fn transaction(tx: &TxEnv, index: usize, seed: u64, signers: &Signers) -> Value {
    let caller = tx.caller;
    // A contract has no key, so the first sender signs in its place.
    let key = signers.keys.get(&caller);
    let key = key.unwrap_or_else(|| &signers.keys[&signers.addresses[0]]);
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("type", hex(tx.tx_type));
    // The specification assumes chain 1 for every transaction.
    put("chainId", hex(1));
    put("nonce", hex(tx.nonce));
    put("gas", hex(tx.gas_limit));
    put("value", hex(tx.value));
    put("input", json!(tx.data));
    put("to", tx.kind.to().map_or(Value::Null, |to| json!(to)));
    for name in ["v", "r", "s"] {
        put(name, json!("0x0"));
    }
    put("secretKey", json!(key.secret()));
    if tx.tx_type == 0 {
        // A legacy signature may name the chain or not.
        put("protected", json!(!(seed + index as u64).is_multiple_of(4)));
    } else {
        put("accessList", json!(tx.access_list));
    }
    if tx.tx_type < 2 {
        put("gasPrice", hex(tx.gas_price));
    } else {
        put("maxFeePerGas", hex(tx.gas_price));
        put("maxPriorityFeePerGas", hex(tx.gas_priority_fee.unwrap_or_default()));
    }
    if tx.tx_type == 3 {
        put("maxFeePerBlobGas", hex(tx.max_fee_per_blob_gas));
        put("blobVersionedHashes", json!(tx.blob_hashes));
    }
    if tx.tx_type == 4 {
        let list = tx.authorization_list.iter().map(|authorization| match authorization {
            Either::Right(recovered) => {
                let authority = recovered.authority();
                signed(recovered, authority.and_then(|who| signers.keys.get(&who)))
            }
            Either::Left(signed) => json!(signed),
        });
        put("authorizationList", list.collect());
    }
    Value::Object(object)
}

/// Returns an authorization signed with `key`, or with an invalid signature if there is none.
fn signed(authorization: &Authorization, key: Option<&Key>) -> Value {
    let signature = key.map(|key| key.sign(authorization.signature_hash()));
    let (parity, r, s) = match signature {
        Some(signature) => (u8::from(signature.v()), signature.r(), signature.s()),
        None => (0, U256::from(5), U256::from(7)),
    };
    json!({
        "chainId": hex(authorization.chain_id),
        "address": authorization.address,
        "nonce": hex(authorization.nonce),
        "v": hex(parity),
        "yParity": hex(parity),
        "r": hex(r),
        "s": hex(s),
    })
}

/// Adds transactions that request withdrawals, consolidations and deposits, from their own senders.
fn request(accounts: &mut BTreeMap<Address, MemoryAccount>, txs: &mut Vec<Value>, seed: u64) {
    accounts.insert(DEPOSITS, deposit_contract());
    let mut calls = vec![
        (eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, 56, 1_000),
        (eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, 96, 1_000),
        (DEPOSITS, 0, 0),
    ];
    calls.truncate((seed / 5) as usize % 4);
    for (index, (to, length, value)) in calls.into_iter().enumerate() {
        let sender = key([b"asks", &[index as u8][..]].concat());
        let rich =
            MemoryAccount { balance: U256::from(10).pow(U256::from(20)), ..Default::default() };
        accounts.insert(sender.address(), rich);
        let input = Bytes::from(bytes_of_seed(seed, length));
        let at = (seed as usize + index) % (txs.len() + 1);
        let tx = json!({
            "type": "0x0", "nonce": "0x0", "gas": "0x493e0", "gasPrice": "0x10", "to": to,
            "value": hex(value), "input": input, "v": "0x0", "r": "0x0", "s": "0x0",
            "secretKey": sender.secret(),
        });
        txs.insert(at, tx);
    }
}

/// Returns a contract that logs a deposit on every call.
fn deposit_contract() -> MemoryAccount {
    let fields = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];
    let mut event = vec![0_u8; 576];
    for (index, (offset, length)) in fields.into_iter().enumerate() {
        event[32 * index + 30..32 * index + 32].copy_from_slice(&(offset as u16).to_be_bytes());
        event[offset + 31] = length as u8;
        event[offset + 32..offset + 32 + length].fill(index as u8 + 1);
    }
    let topic = keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)");
    let code = Code::new().memory(&event).push(U256::from_be_bytes(topic.0));
    let code = code.push(event.len()).push(0).op(opcode::LOG1).bytes();
    MemoryAccount { nonce: 1, code, ..Default::default() }
}

/// Returns a transaction that is certain to be rejected, in one of several ways.
fn refused(seed: u64, signers: &Signers) -> Value {
    let key = |index: usize| signers.keys[&signers.addresses[index]].secret();
    let mut tx = json!({
        "type": "0x0", "nonce": "0x0", "gas": "0x186a0", "gasPrice": "0x64", "value": "0x1",
        "to": Address::repeat_byte(0xcc), "input": "0x", "v": "0x0", "r": "0x0", "s": "0x0",
        "secretKey": key((seed % 2) as usize),
    });
    match (seed / 14) % 7 {
        0 => tx["nonce"] = json!("0x3e8"),
        1 => tx["gas"] = json!("0x5207"),
        2 => tx["value"] = hex(U256::MAX >> 8),
        3 => tx["gas"] = json!("0x3b9aca00"),
        // The account of this key is empty.
        4 => tx["secretKey"] = json!(keccak256("poor")),
        5 => tx["nonce"] = json!("0xffffffffffffffff"),
        _ => {
            // An invalid signature.
            tx["v"] = json!("0x1b");
            tx["r"] = hex(U256::MAX);
            tx["s"] = json!("0x1");
        }
    }
    tx
}

fn environment(case: &generate::Case, spec: SpecId, seed: u64) -> Value {
    let since = |fork| spec.is_enabled_in(fork);
    let block = &case.block;
    let hashes = (744..1_000_u64)
        .map(|number| (format!("{number:#x}"), json!(MemoryDatabase::hash_of_block(number))));
    let mut env = json!({
        "currentCoinbase": block.env.beneficiary,
        "currentGasLimit": hex(block.env.gas_limit),
        "currentNumber": hex(block.env.number),
        "currentTimestamp": hex(block.env.timestamp),
        "blockHashes": hashes.collect::<Map<_, _>>(),
    });
    if since(SpecId::MERGE) {
        env["currentRandom"] = json!(block.env.prevrandao);
    } else if seed.is_multiple_of(2) {
        env["currentDifficulty"] = hex(block.env.difficulty + U256::from(0x2_0000));
    } else {
        env["parentDifficulty"] = hex(0x30_0000);
        env["parentTimestamp"] = hex(10_000 - seed % 900 - 1);
    }
    if since(SpecId::LONDON) {
        env["currentBaseFee"] = hex(block.env.basefee);
    }
    if let Some(withdrawals) = &block.withdrawals {
        let list = withdrawals.iter().map(|withdrawal| {
            json!({
                "index": hex(withdrawal.index),
                "validatorIndex": hex(withdrawal.validator_index),
                "address": withdrawal.address,
                "amount": hex(withdrawal.amount),
            })
        });
        env["withdrawals"] = list.collect();
    }
    if since(SpecId::CANCUN) {
        env["parentBeaconBlockRoot"] = json!(block.parent_beacon_block_root);
        if seed.is_multiple_of(2) {
            env["currentExcessBlobGas"] = json!("0x0");
        } else {
            env["parentExcessBlobGas"] = hex(seed % 5 * 131_072);
            env["parentBlobGasUsed"] = hex(seed % 4 * 131_072);
            env["parentBaseFee"] = hex(7);
        }
    }
    env
}

fn alloc(accounts: &BTreeMap<Address, MemoryAccount>) -> Value {
    let entries = accounts.iter().map(|(address, account)| {
        let slots = account.storage.iter();
        let slots = slots.map(|(slot, value)| (B256::from(*slot).to_string(), hex(*value)));
        let entry = json!({
            "balance": hex(account.balance),
            "nonce": hex(account.nonce),
            "code": account.code,
            "storage": slots.collect::<Map<_, _>>(),
        });
        (format!("{address:?}"), entry)
    });
    entries.collect::<Map<_, _>>().into()
}
