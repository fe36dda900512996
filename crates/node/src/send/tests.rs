//! Tests of transactions that the pool refuses.

use crate::{
    Limits, Node, NodeConfig,
    testing::{CHAIN, Client, address, begun, begun_with, node, payment, sign},
};
use alloy_consensus::TxEip1559;
use alloy_eips::eip2718::Encodable2718;
use alloy_genesis::{ChainConfig, Genesis};
use alloy_primitives::{TxKind, hex};
use braid_chain::{MemoryStore, pool::SignedTransaction};
use serde_json::{Value, json};

/// Gas price that exceeds every base fee in these tests.
const PRICE: u128 = 10_000_000_000;

fn client(node: &Node<MemoryStore>) -> Client {
    Client::new(&node.shared(), Limits::default())
}

/// A transaction below the lowest base fee would wait for ever.
#[test]
fn what_pays_less_than_any_block_asks_is_underpriced() {
    let made = node(&begun(), NodeConfig::default());
    for price in [0, 6] {
        let (code, message) =
            client(&made).error("eth_sendRawTransaction", raw(payment(0, 0, price)));
        assert_eq!(code, -32_003, "{message}");
        let words = format!("transaction underpriced: it pays {price} per gas at most");
        assert!(message.starts_with(&words), "{message}");
    }
    let dynamic = TxEip1559 { chain_id: CHAIN, gas_limit: 21_000, ..TxEip1559::default() };
    let dynamic =
        SignedTransaction::Eip1559(sign(0, TxEip1559 { to: TxKind::Call(address(1)), ..dynamic }));
    assert!(client(&made).error("eth_sendRawTransaction", raw(dynamic)).1.contains("underpriced"));
    // A base fee of zero stays zero; before London there is none.
    for change in [(|genesis| genesis.base_fee_per_gas = Some(0)) as fn(&mut Genesis), |genesis| {
        genesis.config = ChainConfig { chain_id: CHAIN, ..ChainConfig::default() }
    }] {
        let mut node = node(&begun_with(change), NodeConfig::default());
        node.shared().send(payment(0, 0, 0)).expect("free");
        assert_eq!(node.step(0).expect("works").expect("made").built.output.receipts.len(), 1);
    }
}

fn raw(signed: SignedTransaction) -> Value {
    json!([hex::encode_prefixed(signed.encoded_2718())])
}

#[test]
fn a_sender_with_all_it_may_have_is_told_so() {
    let mut config = NodeConfig::default();
    config.pool.max_per_sender = 4;
    let node = node(&begun(), config);
    let client = client(&node);
    let send = |nonce| raw(payment(0, nonce, PRICE));
    let (_, message) = client.error("eth_sendRawTransaction", send(4));
    assert!(message.starts_with("nonce too high"), "{message}");
    for nonce in 0..4 {
        client.result("eth_sendRawTransaction", send(nonce));
    }
    for nonce in [4, 5] {
        let (code, message) = client.error("eth_sendRawTransaction", send(nonce));
        assert_eq!(code, -32_005, "{message}");
        assert!(
            message.starts_with("too many pending transactions: 4 of this sender"),
            "{message}"
        );
    }
}
