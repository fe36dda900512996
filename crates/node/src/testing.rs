//! A chain in memory, and a client that calls its methods without a socket: for tests of this crate
//! and for fuzz targets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "for tests only"
)]
#![cfg_attr(not(test), allow(dead_code, reason = "fuzz targets use a part"))]

use crate::{
    Limits, Node, NodeConfig, Shared,
    clients::Clients,
    commands::genesis_file,
    entries,
    methods::{Context, module},
    server::{Calls, calls},
    usage::Usage,
};
use alloy_consensus::{SignableTransaction, Signed, TxLegacy};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
#[cfg(test)]
use alloy_primitives::hex;
use alloy_primitives::{Address, B256, Signature, TxKind, U256, keccak256};
use braid_blocks::keys::Key;
use braid_chain::{
    Head, MemoryStore, Snapshot, StateRoots, create, genesis, pool::SignedTransaction,
};
use core::ops::Range;
use http::Request;
use http_body_util::BodyExt;
use jsonrpsee::{
    RpcModule,
    server::{HttpBody, ServerHandle, stop_channel},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// EIP-155 chain id.
pub const CHAIN: u64 = 7;
/// Number of senders with funds.
pub const SENDERS: u8 = 16;
/// Further senders with funds, for tests that need many.
pub(crate) const CROWD: Range<u8> = 100..200;

fn key(sender: u8) -> Key {
    Key::new(keccak256([sender])).expect("a key")
}

/// Returns the address of a sender.
#[must_use]
pub fn address(sender: u8) -> Address {
    key(sender).address()
}

/// Signs `tx` as `sender`.
pub fn sign<T: SignableTransaction<Signature>>(sender: u8, tx: T) -> Signed<T> {
    let signature = signature(sender, tx.signature_hash());
    tx.into_signed(signature)
}

pub(crate) fn signature(signer: u8, hash: B256) -> Signature {
    key(signer).sign(hash)
}

/// Returns the genesis that a file with these bytes describes.
///
/// # Errors
/// The bytes are no genesis, or blocks would not obey it.
pub fn genesis(bytes: &[u8]) -> Result<Genesis, String> {
    genesis_file::from_bytes(bytes).map(|(genesis, _)| genesis)
}

/// Makes a contract creation of sender 1 that logs one topic: the number of the block.
#[cfg(test)]
pub(crate) fn logging(nonce: u64, gas_price: u128) -> SignedTransaction {
    let tx = TxLegacy {
        chain_id: Some(CHAIN),
        nonce,
        gas_price,
        gas_limit: 200_000,
        to: TxKind::Create,
        input: hex::decode("435f5fa100").expect("hexadecimal").into(),
        ..TxLegacy::default()
    };
    SignedTransaction::Legacy(sign(1, tx))
}

/// Makes a signed payment of one wei.
#[must_use]
pub fn payment(sender: u8, nonce: u64, gas_price: u128) -> SignedTransaction {
    let tx = TxLegacy {
        chain_id: Some(CHAIN),
        nonce,
        gas_price,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(0xbb)),
        value: U256::from(1),
        ..TxLegacy::default()
    };
    SignedTransaction::Legacy(sign(sender, tx))
}

/// Makes a new chain with the rules of Prague.
pub(crate) fn begun() -> MemoryStore {
    begun_with(|_| ())
}

/// Makes a new chain with a modified genesis.
pub(crate) fn begun_with(change: impl FnOnce(&mut Genesis)) -> MemoryStore {
    begun_as(StateRoots::Disabled, change)
}

/// Makes a new chain with a modified genesis, with or without state roots.
pub fn begun_as(roots: StateRoots, change: impl FnOnce(&mut Genesis)) -> MemoryStore {
    let config = ChainConfig {
        chain_id: CHAIN,
        terminal_total_difficulty: Some(U256::ZERO),
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        ..ChainConfig::default()
    };
    let funded = GenesisAccount::default().with_balance(U256::from(10_u128.pow(24)));
    let funded = (0..SENDERS).chain(CROWD).map(|sender| (address(sender), funded.clone()));
    let alloc = funded.collect();
    let mut genesis = Genesis { config, gas_limit: 60_000_000, alloc, ..Genesis::default() };
    change(&mut genesis);
    let store = MemoryStore::new();
    let head = Head { number: 0, hash: genesis::header(&genesis).hash_slow() };
    let described = genesis::encode(&genesis).expect("JSON");
    create(&store, &described, &genesis::batch(&genesis, head), roots).expect("created");
    store
}

pub(crate) fn node(store: &MemoryStore, config: NodeConfig) -> Node<MemoryStore> {
    Node::open(store.clone(), config).expect("a node")
}

/// A client that sends requests and waits for responses. It can be used on any thread.
pub struct Client {
    calls: Calls,
    clients: Clients,
    request_bytes: u32,
    /// Names of all methods.
    pub methods: Vec<&'static str>,
    pub(crate) usage: Usage,
    pub(crate) runtime: Runtime,
    _handle: ServerHandle,
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client").field("methods", &self.methods).finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client of a node.
    pub fn new<S: Snapshot>(shared: &Arc<Shared<S>>, limits: Limits) -> Self {
        let context = Context { shared: Arc::clone(shared), limits };
        Self::with(module(context).expect("methods"), limits, shared.usage())
    }

    pub(crate) fn with<C: Send + Sync + 'static>(
        methods: RpcModule<C>,
        limits: Limits,
        usage: Usage,
    ) -> Self {
        let names: Vec<_> = methods.method_names().collect();
        usage.methods(names.iter().copied());
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let (stop, handle) = stop_channel();
        let (calls, clients) = (calls(methods, &limits, stop), Clients::new(limits));
        let request_bytes = limits.request_bytes;
        let methods = names;
        Self { calls, clients, request_bytes, methods, usage, runtime, _handle: handle }
    }

    /// Returns the response to a request from 10.0.0.1.
    pub(crate) async fn send(&self, body: Value) -> Value {
        self.send_from(1, body).await
    }

    /// Returns the response to a request from 10.0.0.`host`.
    pub(crate) async fn send_from(&self, host: u8, body: Value) -> Value {
        let (_, answer) = self.post(host, body.to_string()).await;
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Sends a body from 10.0.0.1, waits, and returns status and body of the response.
    ///
    /// # Errors
    /// The response is not UTF-8.
    pub fn exchange(&self, body: Vec<u8>) -> Result<(u16, String), String> {
        let (status, bytes) = self.runtime.block_on(self.post_bytes(1, body));
        String::from_utf8(bytes).map(|text| (status, text)).map_err(|error| error.to_string())
    }

    /// Returns status and body of the response to a request from 10.0.0.`host`.
    pub(crate) async fn post(&self, host: u8, body: String) -> (u16, String) {
        let (status, bytes) = self.post_bytes(host, body.into()).await;
        (status, String::from_utf8(bytes).expect("UTF-8"))
    }

    async fn post_bytes(&self, host: u8, body: Vec<u8>) -> (u16, Vec<u8>) {
        let request = Request::post("/").header("content-type", "application/json");
        let request = request.extension(self.clients.at([10, 0, 0, host].into()));
        let request = request.extension(self.usage.clone());
        let request = request.body(HttpBody::from(body)).expect("a request");
        let (mut calls, limit) = (self.calls.clone(), self.request_bytes);
        let answer = entries::answer(&mut calls, limit, request).await.expect("an answer");
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.expect("bytes").to_bytes();
        (status, bytes.to_vec())
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await
    }

    /// Returns the result of a successful call.
    pub(crate) fn result(&self, method: &str, params: Value) -> Value {
        let answer = self.runtime.block_on(self.call(method, params.clone()));
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    /// Returns code and message of a failed call.
    pub(crate) fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.runtime.block_on(self.call(method, params.clone()));
        let error = &answer["error"];
        let sent = || params.to_string().chars().take(500).collect::<String>();
        let code =
            error["code"].as_i64().unwrap_or_else(|| panic!("{method} {}: {answer}", sent()));
        (code, error["message"].as_str().expect("text").to_owned())
    }
}
