//! A node that the test starts, calls and stops.

use braid_cli::fetch::{Http, Transport};
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Number of accounts that have ether and sign their own transactions.
pub(crate) const ACCOUNTS: usize = 12;

pub(crate) struct Anvil {
    process: Child,
    transport: Http,
    pub(crate) url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // The node holds nothing that is needed afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Anvil {
    /// Starts a chain under `fork` that mines on request.
    pub(crate) fn start(program: &Path, fork: &str) -> Self {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.local_addr().expect("an address").port()
        };
        let process = Command::new(program)
            .args(["--hardfork", fork, "--port", &port.to_string()])
            .args(["--accounts", &ACCOUNTS.to_string(), "--gas-limit", "120000000"])
            .args(["--no-mining", "--order", "fifo", "--silent"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("anvil starts");
        let url = format!("http://127.0.0.1:{port}");
        let transport = Http::new(&url, Duration::from_secs(60)).expect("a URL");
        let node = Self { process, transport, url };
        let begun = Instant::now();
        while node.try_call("eth_chainId", json!([])).is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "anvil does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        node
    }

    fn try_call(&self, method: &str, params: Value) -> Option<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.transport.exchange(request.to_string().as_bytes()).ok()?;
        serde_json::from_slice(&answer).ok()
    }

    /// Returns the result of a call that must succeed.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.try_call(method, params).expect("an answer");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Returns the receipts of a block.
    pub(crate) fn receipts(&self, number: u64) -> Vec<Value> {
        let receipts = self.call("eth_getBlockReceipts", json!([format!("{number:#x}")]));
        receipts.as_array().expect("a list").clone()
    }
}
