//! Metrics of the requests of clients.

use super::node::{RpcNode, raw};
use crate::{
    metrics::{get, value},
    prometheus::{Chains, Prometheus, are_served, promtool, queries},
};
use serde_json::json;

/// EIP-155 chain id of the node.
const CHAIN: u64 = 7_008;

#[test]
fn what_clients_ask_for_is_in_the_metrics() {
    let (mut node, metrics) = RpcNode::watched();
    let scrape = || get(&metrics, "/metrics").expect("an answer");
    let names = queries(Chains::Rpc);
    assert!(names.len() >= 8, "{names:?}");
    are_served(&names, &scrape());
    let hash = node.transfer(0, 7);
    node.receipt(&hash);
    // A used nonce, a nonce after a gap, and an unknown method.
    node.error("eth_sendRawTransaction", json!([raw(0, 8, CHAIN, 21_000)]));
    node.call("eth_sendRawTransaction", json!([raw(2, 7, CHAIN, 21_000)]));
    node.error("eth_mistake", json!([]));
    let text = scrape();
    for (name, wanted) in [
        ("braid_pool_transactions", 1.0),
        ("braid_pool_senders", 1.0),
        ("braid_pool_ready_senders", 0.0),
        ("braid_pool_admitted_total", 2.0),
        ("braid_pool_refused_total{reason=\"nonce_low\"}", 1.0),
        ("braid_pool_refused_total{reason=\"full\"}", 0.0),
        ("braid_rpc_calls_total{method=\"eth_sendRawTransaction\"}", 3.0),
        ("braid_rpc_calls_total{method=\"unknown\"}", 1.0),
        ("braid_rpc_answers_total{status=\"503\"}", 0.0),
        ("braid_rpc_busy_total", 0.0),
        ("braid_rpc_refused_connections_total", 0.0),
    ] {
        assert_eq!(value(&text, name), Some(wanted), "{name}: {text}");
    }
    assert!(value(&text, "braid_pool_bytes") > Some(0.0), "{text}");
    assert!(value(&text, "braid_rpc_answers_total{status=\"200\"}") >= Some(5.0), "{text}");
    if let Some(said) = promtool(&text) {
        assert_eq!(said, "");
    }
    assert_eq!(node.end()["transactions"], 1);
}

#[test]
fn a_real_prometheus_answers_about_clients() {
    let (node, metrics) = RpcNode::watched();
    let folder = tempfile::tempdir().expect("a folder");
    let Some(prometheus) = Prometheus::new(&folder.path().join("data"), &metrics) else { return };
    prometheus.until("braid_pool_admitted_total", "0");
    let hash = node.transfer(0, 7);
    node.receipt(&hash);
    prometheus.until("braid_pool_admitted_total", "1");
    prometheus.until("braid_rpc_calls_total{method=\"eth_sendRawTransaction\"}", "1");
    prometheus.answers(&queries(Chains::Rpc));
}
