//! A node as a child process, and a client that sends plain HTTP.

use crate::chain::{braid_node, chain};
use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, TxKind, U256, address, hex};
use braid_blocks::keys::Key;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStderr, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// EIP-155 chain id.
const CHAIN: u64 = 7_008;
/// Account of the secret key of 32 bytes 0x11.
pub(crate) const SENDER: &str = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a";
/// Account that [`RpcNode::transfer`] pays.
pub(crate) const PAID: Address = address!("0x00000000000000000000000000000000000000bb");
/// Timeout for expected events.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process `braid-node run --rpc` with its own folder.
pub(crate) struct RpcNode {
    folder: TempDir,
    child: Option<Child>,
    /// Standard error of the process.
    errors: Option<BufReader<ChildStderr>>,
    address: String,
    /// Address of the metrics, if they are enabled.
    metrics: Option<String>,
}

impl RpcNode {
    /// Starts a new chain on which one account has 1,000 ether.
    pub(crate) fn new() -> Self {
        Self::of(json!({
            "chainId": CHAIN, "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0,
            "pragueTime": 0, "osakaTime": 0,
        }))
    }

    /// Like [`new`](Self::new), with the rules before Prague, whose blocks need the contracts for
    /// requests wherever they are imported.
    pub(super) fn before_prague() -> Self {
        Self::of(json!({
            "chainId": CHAIN, "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0,
        }))
    }

    fn of(config: Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let genesis = json!({
            "config": config,
            "difficulty": "0x0",
            "gasLimit": "0x1c9c380",
            "alloc": { SENDER: { "balance": "0x3635c9adc5dea00000" } },
        });
        let file = folder.path().join("genesis.json");
        fs::write(&file, genesis.to_string()).expect("written");
        let (child, errors, metrics) = (None, None, None);
        let mut node = Self { folder, child, errors, address: String::new(), metrics };
        chain(&["init", "--genesis", file.to_str().expect("UTF-8"), &node.folder()], 0);
        node.start();
        node
    }

    /// Like [`new`](Self::new), with metrics, and returns their address.
    pub(crate) fn watched() -> (Self, String) {
        let mut node = Self::new();
        node.end();
        node.run(&["--metrics", "0"]);
        let metrics = node.metrics.clone().expect("it is watched");
        (node, metrics)
    }

    pub(crate) fn folder(&self) -> String {
        self.folder.path().join("chain").to_str().expect("UTF-8").to_owned()
    }

    /// Path of the chain's genesis file.
    pub(super) fn genesis(&self) -> String {
        self.folder.path().join("genesis.json").to_str().expect("UTF-8").to_owned()
    }

    /// Starts a follower of `upstream`, on a new folder with the same genesis.
    pub(super) fn following(upstream: &Self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, errors, metrics) = (None, None, None);
        let mut node = Self { folder, child, errors, address: String::new(), metrics };
        chain(&["init", "--genesis", &upstream.genesis(), &node.folder()], 0);
        node.follow(&upstream.url(), &[]);
        node
    }

    /// Follows the node at `url`, with `more` options.
    pub(super) fn follow(&mut self, url: &str, more: &[&str]) {
        let folder = self.folder();
        let command = ["follow", "--json", "--rpc", "0", "--interval", "20", url, &folder];
        self.launch(&[&command[..], more].concat());
    }

    /// Starts the process at the address that it had before.
    pub(super) fn start_again(&mut self) {
        let (folder, address) = (self.folder(), self.address.clone());
        self.launch(&["run", "--json", "--rpc", &address, "--interval", "50", &folder]);
    }

    pub(crate) fn start(&mut self) {
        self.run(&[]);
    }

    /// Starts the process with `more` options.
    pub(super) fn run(&mut self, more: &[&str]) {
        let folder = self.folder();
        let command = ["run", "--json", "--rpc", "0", "--interval", "50", &folder];
        self.launch(&[&command[..], more].concat());
    }

    /// Like [`run`](Self::run), without a time between blocks.
    pub(super) fn run_paced(&mut self, more: &[&str]) {
        let folder = self.folder();
        self.launch(&[&["run", "--json", "--rpc", "0", &folder], more].concat());
    }

    /// Starts `braid-node dev` with `more` options.
    pub(super) fn dev(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (child, errors, metrics) = (None, None, None);
        let mut node = Self { folder, child, errors, address: String::new(), metrics };
        node.run_dev(more);
        node
    }

    pub(super) fn run_dev(&mut self, more: &[&str]) {
        self.launch(&[&["dev", "--port", "0", "--quiet"], more].concat());
    }

    /// Starts the process with these arguments.
    fn launch(&mut self, arguments: &[&str]) {
        let mut command = braid_node(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool starts");
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        let mut address = || {
            said.clear();
            errors.read_line(&mut said).expect("a line");
            // What was read of the pool's file.
            while said.contains("pool.rlp") {
                said.clear();
                errors.read_line(&mut said).expect("a line");
            }
            let (name, address) = said.trim().split_once(": http://").expect("an address");
            assert!(address.starts_with("127.0.0.1:"), "{said}");
            (name.to_owned(), address.to_owned())
        };
        self.metrics = None;
        let (mut name, mut found) = address();
        if name == "metrics" {
            self.metrics = found.strip_suffix("/metrics").map(str::to_owned);
            (name, found) = address();
        }
        assert_eq!(name, "json-rpc");
        (self.address, self.child, self.errors) = (found, Some(child), Some(errors));
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills the process.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("ended");
    }

    /// Interrupts the process, and returns its report.
    pub(crate) fn end(&mut self) -> Value {
        self.end_saying().0
    }

    /// Like [`end`](Self::end), and returns its standard error.
    pub(crate) fn end_saying(&mut self) -> (Value, String) {
        let (text, said) = self.stop();
        (serde_json::from_str(&text).expect("one JSON object"), said)
    }

    /// Interrupts the process, and returns its output and its standard error.
    pub(super) fn stop(&mut self) -> (String, String) {
        let mut child = self.child.take().expect("it runs");
        let id = child.id().to_string();
        let told = std::process::Command::new("kill").args(["-INT", &id]).status();
        assert!(told.expect("kill runs").success());
        let mut text = String::new();
        child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
        assert!(child.wait().expect("ends").success());
        let mut said = String::new();
        let errors = self.errors.take().expect("a pipe");
        { errors }.read_to_string(&mut said).expect("text");
        (text, said)
    }

    /// Returns the status line and body of the response to a request with these headers and this
    /// body.
    pub(crate) fn http(&self, head: &str, body: &str) -> (String, String) {
        let head = format!("{head}\r\nConnection: close");
        let (status, _, body) = self.exchange(&head, body);
        (status, body)
    }

    /// Like [`http`](Self::http), and also returns the headers of the response. Of the
    /// response to a request for another protocol, reads only the headers.
    pub(super) fn exchange(&self, head: &str, body: &str) -> (String, String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let length = body.len();
        let end = format!("Content-Length: {length}\r\n\r\n");
        // A server that rejects the request early does not read all of it.
        let _ = write!(stream, "{head}\r\n{end}{body}");
        let is_upgrade = head.contains("\r\nUpgrade: ");
        let (mut answer, mut bytes) = (Vec::new(), [0; 4_096]);
        while let Ok(length @ 1..) = stream.read(&mut bytes) {
            answer.extend_from_slice(&bytes[..length]);
            if is_upgrade && answer.windows(4).any(|end| end == b"\r\n\r\n") {
                break;
            }
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let (status, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        (status.to_owned(), headers.to_owned(), body.to_owned())
    }

    /// Returns the response to a JSON-RPC request.
    pub(crate) fn post(&self, body: &str) -> (String, String) {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        self.http(head, body)
    }

    fn answer(&self, method: &str, params: &Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (status, text) = self.post(&body.to_string());
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text}"))
    }

    /// Returns the result of a call.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, &params);
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    /// Returns code and message of a call that fails.
    pub(crate) fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.answer(method, &params);
        let error = &answer["error"];
        let code = error["code"].as_i64().unwrap_or_else(|| panic!("{method} {params}: {answer}"));
        (code, error["message"].as_str().expect("text").to_owned())
    }

    /// Sends some wei, and returns the transaction's hash.
    pub(crate) fn transfer(&self, nonce: u64, value: u64) -> String {
        let sent = self.call("eth_sendRawTransaction", json!([raw(nonce, value, CHAIN, 21_000)]));
        sent.as_str().expect("a hash").to_owned()
    }

    /// Waits for the receipt of a transaction.
    pub(crate) fn receipt(&self, hash: &str) -> Value {
        let begun = Instant::now();
        loop {
            let receipt = self.call("eth_getTransactionReceipt", json!([hash]));
            if !receipt.is_null() {
                return receipt;
            }
            assert!(begun.elapsed() < PATIENCE, "no receipt of {hash}");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for RpcNode {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// Returns a signed transfer.
pub(crate) fn raw(nonce: u64, value: u64, chain: u64, gas_limit: u64) -> String {
    let tx = TxLegacy {
        chain_id: Some(chain),
        nonce,
        gas_price: 10_000_000_000,
        gas_limit,
        to: TxKind::Call(PAID),
        value: U256::from(value),
        ..TxLegacy::default()
    };
    let key = Key::new(B256::repeat_byte(0x11)).expect("a key");
    let signature = key.sign(tx.signature_hash());
    let signed = alloy_consensus::TxEnvelope::Legacy(tx.into_signed(signature));
    hex::encode_prefixed(signed.encoded_2718())
}
