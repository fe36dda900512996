//! Requests a second that nodes answer.

use alloy_primitives::Bytes;
use braid_blocks::code::{Code, deploying};
use braid_terminal::{Http, Transport, TransportError};
use core::time::Duration;
use serde_json::{Value, json};
use std::{
    num::NonZeroU16,
    panic::resume_unwind,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Instant,
};
use thiserror::Error;

/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Transactions before the measurement, which requests then name.
const TRANSACTIONS: u32 = 20;
/// Attempts to get a receipt.
const ATTEMPTS: u32 = 200;
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a node cannot be measured.
#[derive(Debug, Error)]
pub(crate) enum RpcError {
    /// There was no response.
    #[error("{0}")]
    Transport(#[from] TransportError),
    /// The response is an error, or has no result.
    #[error("{method}: {response}")]
    Refused { method: &'static str, response: String },
    /// A transaction was not included in a block in time.
    #[error(
        "no block has included the transaction {0}: the node must make blocks for its accounts, as \
         `braid-node dev` and `anvil` do"
    )]
    NotIncluded(Value),
}

/// A node, and what the requests to it name.
pub(crate) struct Node {
    url: String,
    /// Name and version that the node states.
    pub(crate) client: String,
    requests: Vec<(&'static str, Vec<u8>)>,
}

impl Node {
    /// Prepares the node at `url`: one of its accounts creates a contract and calls it.
    ///
    /// # Errors
    /// Returns an error if the node does not answer, or makes no blocks for its accounts.
    pub(crate) fn prepare(url: &str) -> Result<Self, RpcError> {
        let http = Http::new(url, TIMEOUT)?;
        let client = ask(&http, "web3_clientVersion", json!([]))?;
        let accounts = ask(&http, "eth_accounts", json!([]))?;
        let from = &accounts[0];
        let sent = |transaction: Value| {
            let hash = ask(&http, "eth_sendTransaction", json!([transaction]))?;
            receipt(&http, hash)
        };
        let created = sent(json!({ "from": from, "data": init() }))?;
        let contract = &created["contractAddress"];
        let call = json!({ "from": from, "to": contract });
        let mut last = Value::Null;
        for _ in 0..TRANSACTIONS {
            last = sent(call.clone())?;
        }
        let (hash, number) = (&last["transactionHash"], &last["blockNumber"]);
        let logs = json!({ "address": contract, "fromBlock": number, "toBlock": number });
        let requests = [
            ("eth_blockNumber", json!([])),
            ("eth_gasPrice", json!([])),
            ("eth_getBalance", json!([from, "latest"])),
            ("eth_getTransactionCount", json!([from, "latest"])),
            ("eth_call", json!([call, "latest"])),
            ("eth_estimateGas", json!([call])),
            ("eth_getBlockByNumber", json!([number, true])),
            ("eth_getTransactionByHash", json!([hash])),
            ("eth_getTransactionReceipt", json!([hash])),
            ("eth_getLogs", json!([logs])),
        ];
        for (method, params) in &requests {
            ask(&http, method, params.clone())?;
        }
        let requests = requests.into_iter();
        let requests = requests.map(|(method, params)| (method, request(method, params)));
        let client = client.as_str().unwrap_or("unknown").to_owned();
        Ok(Self { url: url.to_owned(), client, requests: requests.collect() })
    }

    /// Returns the measured methods.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &'static str> {
        self.requests.iter().map(|(method, _)| *method)
    }

    /// Sends requests of the method with this index on `connections` connections for `time`.
    /// Returns the number of responses per second.
    ///
    /// # Errors
    /// Returns an error if a response is missing or is an error.
    pub(crate) fn rate(
        &self,
        index: usize,
        connections: NonZeroU16,
        time: Duration,
    ) -> Result<f64, RpcError> {
        let Some((method, request)) = self.requests.get(index) else { return Ok(0.0) };
        let (answered, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let connection = || -> Result<(), RpcError> {
            let http = Http::new(&self.url, TIMEOUT)?;
            // Each connection gets at least one response, however late its thread starts.
            loop {
                let response = http.exchange(request)?;
                if !response.windows(9).any(|it| it == b"\"result\":") {
                    let response = String::from_utf8_lossy(&response).into_owned();
                    return Err(RpcError::Refused { method, response });
                }
                answered.fetch_add(1, Ordering::Relaxed);
                if is_over.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
        };
        let begin = Instant::now();
        let ended: Result<Vec<()>, RpcError> = thread::scope(|scope| {
            let threads: Vec<_> = (0..connections.get()).map(|_| scope.spawn(connection)).collect();
            thread::sleep(time);
            is_over.store(true, Ordering::Relaxed);
            threads
                .into_iter()
                .map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        ended?;
        Ok(answered.into_inner() as f64 / begin.elapsed().as_secs_f64())
    }
}

/// Returns code that creates a contract which counts its calls, and logs and returns the count.
fn init() -> Bytes {
    deploying(Code::new().increment(0, 1).sload(0).log_top(1).sload(0).return_top())
}

fn request(method: &str, params: Value) -> Vec<u8> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    request.to_string().into_bytes()
}

/// Returns the result of a request, which is not null.
fn ask(http: &Http, method: &'static str, params: Value) -> Result<Value, RpcError> {
    match result(http, method, params)? {
        Value::Null => Err(RpcError::Refused { method, response: "null".to_owned() }),
        result => Ok(result),
    }
}

/// Returns the result of a request.
fn result(http: &Http, method: &'static str, params: Value) -> Result<Value, RpcError> {
    let response = http.exchange(&request(method, params))?;
    let mut parsed: Value = serde_json::from_slice(&response).unwrap_or_default();
    match parsed.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => {
            let response = String::from_utf8_lossy(&response).into_owned();
            Err(RpcError::Refused { method, response })
        }
    }
}

/// Waits for the receipt of a transaction.
fn receipt(http: &Http, hash: Value) -> Result<Value, RpcError> {
    for _ in 0..ATTEMPTS {
        match result(http, "eth_getTransactionReceipt", json!([hash]))? {
            Value::Null => thread::sleep(PAUSE),
            receipt => return Ok(receipt),
        }
    }
    Err(RpcError::NotIncluded(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
    };

    /// Starts a node that answers `refused` with an error.
    fn node(refused: &'static str) -> String {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", server.local_addr().expect("bound"));
        let answer = move |body: &[u8]| {
            let call: Value = serde_json::from_slice(body).expect("JSON");
            let result = match call["method"].as_str().expect("a method") {
                method if method == refused => {
                    return json!({ "id": 1, "error": { "code": -32601, "message": "no" } });
                }
                "eth_accounts" => json!(["0x01"]),
                "eth_getTransactionReceipt" => {
                    json!({ "transactionHash": "0x02", "blockNumber": "0x3", "contractAddress": "0x04" })
                }
                _ => json!("0x5"),
            };
            json!({ "id": 1, "result": result })
        };
        thread::spawn(move || {
            for stream in server.incoming() {
                thread::spawn(move || {
                    let stream = stream.expect("connects");
                    let mut lines = BufReader::new(&stream);
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        if lines.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        let line = line.trim().to_lowercase();
                        if let Some(found) = line.strip_prefix("content-length:") {
                            length = found.trim().parse().expect("a number");
                        }
                        if line.is_empty() {
                            let mut body = vec![0; length];
                            lines.read_exact(&mut body).expect("a body");
                            let body = answer(&body).to_string();
                            let head = format!(
                                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                                body.len()
                            );
                            (&stream).write_all((head + &body).as_bytes()).expect("it listens");
                        }
                    }
                });
            }
        });
        url
    }

    #[test]
    fn requests_are_counted_and_errors_are_not() {
        let turn = Duration::from_millis(50);
        let prepared = Node::prepare(&node("none")).expect("it answers");
        assert_eq!(prepared.methods().count(), 10);
        let rate = prepared.rate(0, NonZeroU16::MIN, turn).expect("it answers");
        assert!(rate > 0.0, "{rate}");
        let refused = Node::prepare(&node("eth_getLogs")).map(|node| node.client);
        let error = refused.expect_err("an error is no result").to_string();
        assert!(error.contains("eth_getLogs") && error.contains("-32601"), "{error}");
    }
}
