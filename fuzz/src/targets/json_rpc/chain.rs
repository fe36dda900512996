//! A node with a small chain, and a client that calls it without a socket.

use super::super::spoilt::Good;
use alloy_consensus::TxLegacy;
use alloy_eips::eip2718::Encodable2718;
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use braid_chain::pool::SignedTransaction;
use braid_chain::{MemoryStore, StateRoots};
use braid_evm::Config;
use braid_node::testing::{CHAIN, Client, address, begun_as, payment, sign};
use braid_node::{Limits, Node, NodeConfig};
use braid_testkit::hostile::files::edges;
use serde_json::{Value, json};
use std::num::NonZeroU16;
use std::time::Duration;

/// Fee per gas of all transactions, which exceeds every base fee of the chain.
const PRICE: u128 = 10_000_000_000;
/// A contract that increments slot 0, logs the result with a topic, and returns it.
const CONTRACT: Address = Address::repeat_byte(0xc0);
const CODE: [u8; 19] = hex!("5f54600101805f55805f5260205fa160205ff3");
/// Valid arguments of all methods; `$` begins a name that [`Served::new`] replaces.
const SAMPLES: &str = include_str!("samples.json");

/// A method, with valid arguments.
pub(super) struct Sample {
    pub(super) method: &'static str,
    pub(super) params: Good,
}

/// The node, its client, and what requests are made of.
pub(super) struct Served {
    node: Node<MemoryStore>,
    pub(super) client: Client,
    limits: Limits,
    pub(super) samples: Vec<Sample>,
    /// Values that replace arguments.
    pub(super) edges: Vec<Value>,
}

impl Served {
    /// Makes a chain of three blocks with payments, calls and a creation.
    pub(super) fn new() -> Self {
        let store = begun_as(StateRoots::Computed, |genesis| {
            let code = Some(Bytes::from_static(&CODE));
            genesis.alloc.insert(CONTRACT, GenesisAccount { code, ..GenesisAccount::default() });
        });
        let mut config = NodeConfig::default();
        config.chain.executor = Config::with_workers(NonZeroU16::MIN);
        (config.history_blocks, config.state_blocks) = (16, 8);
        config.chain.keep.node_cache = 1 << 20;
        config.pool.max_transactions = 64;
        let node = Node::open(store, config).expect("a node");
        let mut limits = Limits::default();
        (limits.response_bytes, limits.batch, limits.call_gas) = (256 << 10, 8, 2_000_000);
        (limits.logs, limits.fee_blocks, limits.filters) = (100, 16, 16);
        // `eth_sendRawTransactionSync` waits for a fourth of it.
        limits.time = Duration::from_millis(400);
        let client = Client::new(&node.shared(), limits);
        let mut served = Self { node, client, limits, samples: Vec::new(), edges: edges() };
        let mut hashes = Vec::new();
        for nonce in 0..3 {
            for transaction in [called(1, nonce), payment(0, nonce, PRICE)] {
                hashes.push(served.send(&transaction));
            }
            assert!(served.mine().expect("a block"), "transactions wait");
        }
        served.fill_in(&hashes);
        served
    }

    pub(super) const fn response_bytes(&self) -> usize {
        self.limits.response_bytes as usize
    }

    /// Makes a block if transactions wait, and returns whether there was one.
    pub(super) fn mine(&mut self) -> Result<bool, String> {
        let made = self.node.step(0).map_err(|error| format!("no block: {error}"))?;
        self.node.chain().flush().map_err(|error| format!("not written: {error}"))?;
        Ok(made.is_some())
    }

    fn call(&self, method: &str, params: &Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (_, answer) = self.client.exchange(call.to_string().into_bytes()).expect("UTF-8");
        let mut answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["result"].take()
    }

    /// Sends a transaction, and returns its hash.
    fn send(&self, transaction: &SignedTransaction) -> Value {
        let hash = self.call("eth_sendRawTransaction", &json!([raw(transaction)]));
        assert!(hash.is_string(), "{hash}");
        hash
    }

    /// Fills names of the chain's blocks and transactions into the samples.
    fn fill_in(&mut self, transactions: &[Value]) {
        let block = self.call("eth_getBlockByNumber", &json!(["0x2", false]));
        let mut text = SAMPLES.to_owned();
        let names = [
            ("$sender", json!(address(2))),
            ("$contract", json!(CONTRACT)),
            ("$block", block["hash"].clone()),
            ("$call", transactions[2].clone()),
            ("$payment", transactions[3].clone()),
            ("$raw0", raw(&payment(2, 0, PRICE))),
            ("$raw1", raw(&payment(2, 1, PRICE))),
            ("$raw3", raw(&called(3, 1))),
        ];
        for (name, value) in &names {
            text = text.replace(&format!("\"{name}\""), &value.to_string());
        }
        self.edges.extend(names.into_iter().map(|(_, value)| value));
        let tags = ["latest", "pending", "earliest", "safe", "finalized", "0x2", "0xffffffff"];
        self.edges.extend(tags.map(|tag| json!(tag)));
        let samples: Vec<(String, Value)> = serde_json::from_str(&text).expect("samples");
        let methods = &self.client.methods;
        let missing = methods.iter().find(|method| samples.iter().all(|(it, _)| it != **method));
        assert!(missing.is_none(), "{missing:?} has no sample");
        self.samples = samples
            .into_iter()
            .map(|(method, params)| {
                let known = methods.iter().find(|known| **known == method);
                let method = *known.unwrap_or_else(|| panic!("there is no method {method}"));
                Sample { method, params: Good::new(params) }
            })
            .collect();
    }
}

fn raw(transaction: &SignedTransaction) -> Value {
    json!(Bytes::from(transaction.encoded_2718()))
}

/// Makes a signed call of the contract.
fn called(sender: u8, nonce: u64) -> SignedTransaction {
    let tx = TxLegacy {
        chain_id: Some(CHAIN),
        nonce,
        gas_price: PRICE,
        gas_limit: 100_000,
        to: TxKind::Call(CONTRACT),
        value: U256::ZERO,
        ..TxLegacy::default()
    };
    SignedTransaction::Legacy(sign(sender, tx))
}
