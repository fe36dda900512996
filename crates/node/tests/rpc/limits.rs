//! Limits on the input of clients.

use super::node::RpcNode;
use serde_json::{Value, json};
use std::{io::Write, net::TcpStream};

#[test]
fn bytes_and_calls_of_a_request_are_limited() {
    let node = RpcNode::new();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"});
    let batch = |count: usize| json!(vec![call.clone(); count]).to_string();
    let answers: Value = serde_json::from_str(&node.post(&batch(100)).1).expect("JSON");
    assert_eq!(answers.as_array().map(Vec::len), Some(100), "{answers}");
    let refused: Value = serde_json::from_str(&node.post(&batch(101)).1).expect("JSON");
    assert_eq!(refused["error"]["code"], -32010, "{refused}");
    let (status, body) = node.post(&" ".repeat((1 << 20) + 1));
    assert!(status.contains("413") || body.contains("-32007"), "{status} {body}");
    // Invalid JSON, invalid UTF-8, and requests without a method.
    for body in ["", "{", "[]", "[1]", "null", "{\"jsonrpc\":\"2.0\"}", "\u{0}"] {
        let (status, _) = node.post(body);
        assert!(status.starts_with("HTTP/1.1 "), "{body:?}: {status}");
    }
    let deep = "[".repeat(100_000);
    assert!(node.post(&deep).0.starts_with("HTTP/1.1 "));
    assert_eq!(node.call("eth_chainId", json!([])), "0x1b60");
}

#[test]
fn hosts_are_local_and_health_is_told() {
    let mut node = RpcNode::new();
    let head =
        |host: &str| format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json");
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}).to_string();
    assert!(node.http(&head("evil.example"), &body).0.contains(" 403 "));
    assert!(node.http(&head("localhost:1"), &body).0.contains(" 200 "));
    assert!(node.http(&head("node.example"), &body).0.contains(" 403 "));
    node.end();
    node.run(&["--rpc-hosts", "other.example,node.example"]);
    for (host, status) in [("node.example:80", " 200 "), ("evil.example", " 403 ")] {
        assert!(node.http(&head(host), &body).0.contains(status), "{host}");
    }
    // A page in a browser may send this content type without a preflight request.
    let plain = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain";
    assert!(node.http(plain, &body).0.contains(" 415 "));
    for (path, said) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let (status, body) = node.http(&format!("GET {path} HTTP/1.1\r\nHost: 10.0.0.1"), "");
        assert!(status.contains(" 200 ") && body == said, "{status} {body}");
    }
}

#[test]
fn connections_are_limited_and_come_free() {
    let mut node = RpcNode::new();
    let health = |node: &RpcNode| node.http("GET /healthz HTTP/1.1\r\nHost: localhost", "").0;
    let connect = |node: &RpcNode| TcpStream::connect(node.address()).expect("connects");
    // Idle connections are closed in favour of new ones.
    let idle: Vec<_> = (0..128).map(|_| connect(&node)).collect();
    assert!(health(&node).contains(" 200 "));
    drop(idle);
    node.end();
    node.run(&["--rpc-connections", "2", "--rpc-requests", "1"]);
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let begun = format!("{head}Content-Length: 9\r\n\r\n");
    let open = [(); 2].map(|()| {
        let mut stream = connect(&node);
        stream.write_all(begun.as_bytes()).expect("sent");
        stream
    });
    assert!(health(&node).contains(" 503 "), "a connection beyond the limit was answered");
    drop(open);
    let is_answered = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        health(&node).contains(" 200 ")
    });
    assert!(is_answered, "no place has come free");
}

/// Two calls of one connection, and one of another.
#[test]
fn calls_are_logged_if_that_is_asked_for() {
    let mut node = RpcNode::new();
    node.call("eth_chainId", json!([]));
    assert_eq!(node.end_saying().1, "", "off by default");
    node.run(&["--rpc-log"]);
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": "a", "method": "eth_getBlockByNumber", "params": [7]},
    ]);
    node.post(&batch.to_string());
    node.error("eth_mistake", json!([]));
    let (_, said) = node.end_saying();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("braid_node::rpc")).collect();
    assert_eq!(lines.len(), 3, "{said}");
    for (line, words) in lines.iter().zip([
        ["method=\"eth_chainId\" id=\"number\" connection=1 peer=127.0.0.1:", " micros="],
        ["method=\"eth_getBlockByNumber\" id=\"string\" connection=1 peer=", " code=-32602"],
        ["method=\"eth_mistake\" id=\"number\" connection=2 peer=", " code=-32601"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
    assert!(!lines[0].contains("code="), "{}", lines[0]);
}
