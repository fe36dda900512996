//! Tests with clients at different addresses: on Linux, all of 127.0.0.0/8 is local.

use super::*;
use crate::{
    Node, NodeConfig,
    testing::{begun, node, payment, sign},
};
use alloy_consensus::TxEip4844;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, hex};
use braid_chain::{MemoryStore, pool::SignedTransaction};
use core::time::Duration;
use serde_json::{Value, json};
use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream as StdStream,
    path::Path,
    process::{Child, Command},
    thread::sleep,
    time::Instant,
};
use tokio::net::TcpSocket;

mod crowd;
mod sockets;

/// Time after which an expected event counts as missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends requests from several addresses.
struct Clients {
    runtime: Runtime,
    to: SocketAddr,
}

impl Clients {
    fn of(to: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        Self { runtime, to }
    }

    /// Opens a connection from 127.0.0.`from`, and sends `text`. Returns `None` if nothing listens.
    fn send(&self, from: u8, text: &str) -> Option<StdStream> {
        let connect = async {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind(([127, 0, 0, from], 0).into()).expect("an address of this machine");
            socket.connect(self.to).await
        };
        let stream = self.runtime.block_on(connect).ok()?;
        let mut stream = stream.into_std().expect("a stream");
        stream.set_nonblocking(false).expect("set");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        // A server that has already closed the connection does not read.
        let _ = stream.write_all(text.as_bytes());
        Some(stream)
    }

    /// Sends a request, and returns the connection, still open, with the status of the response.
    fn get(&self, from: u8, path: &str) -> Option<(StdStream, String)> {
        let mut stream = self.send(from, &format!("GET {path} HTTP/1.1\r\nHost: any\r\n\r\n"))?;
        let mut status = [0; 12];
        match stream.read_exact(&mut status) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer: {error}"),
            Err(_) => return None,
        }
        let status = String::from_utf8_lossy(&status);
        Some((stream, status.strip_prefix("HTTP/1.1 ").expect("HTTP").to_owned()))
    }

    /// Sends an incomplete request, so that its connection stays in use.
    fn busy(&self, from: u8) -> StdStream {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        self.send(from, &format!("{head}Content-Length: 9\r\n\r\n")).expect("it listens")
    }

    fn status(&self, from: u8) -> String {
        self.get(from, "/healthz").expect("an answer").1
    }

    /// Returns the response to a request that names `host`.
    fn post(&self, host: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
        let head = format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n");
        let mut stream = self.send(1, &format!("{head}{body}")).expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Repeats a request until its response has the `wanted` status.
    fn until(&self, from: u8, path: &str, wanted: &str) {
        let begun = Instant::now();
        loop {
            let status = self.get(from, path).map(|(_, status)| status);
            if status.as_deref() == Some(wanted) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {status:?}");
            sleep(Duration::from_millis(20));
        }
    }
}

fn served(address: [u8; 4], limits: Limits) -> (Node<MemoryStore>, Server) {
    let node = node(&begun(), NodeConfig::default());
    let server = Server::start((address, 0).into(), node.shared(), limits).expect("served");
    (node, server)
}

#[test]
fn a_client_that_takes_all_it_can_leaves_connections_for_others() {
    let (_node, server) = served([0, 0, 0, 0], six());
    let clients = Clients::of(([127, 0, 0, 1], server.address().port()).into());
    let half: Vec<_> = (0..3).map(|_| clients.busy(2)).collect();
    assert_eq!(clients.status(2), "503", "more than half");
    let others: Vec<_> = (0..3).map(|_| clients.busy(3)).collect();
    assert_eq!(clients.status(4), "503", "more than all");
    drop(half);
    clients.until(4, "/healthz", "200");
    clients.until(2, "/healthz", "200");
    drop(others);
}

/// Limits with six connections. Further ones wait for three seconds.
fn six() -> Limits {
    Limits { connections: 6, time: Duration::from_secs(12), ..Limits::default() }
}

#[test]
fn clients_of_the_loopback_interface_are_not_told_apart() {
    let (_node, server) = served([127, 0, 0, 1], six());
    let clients = Clients::of(server.address());
    let _five: Vec<_> = (0..5).map(|_| clients.busy(1)).collect();
    assert_eq!(clients.status(1), "200");
    let _sixth = clients.busy(1);
    // Until the server has seen the previous connection end, the sixth one waits, and the next may
    // overtake it.
    clients.until(1, "/healthz", "503");
}

/// Makes calls with responses of 16 MiB in total, more than a system buffers for a client that does
/// not read.
fn large_request() -> String {
    let data = format!("0x{}", "00".repeat(2 << 20));
    let identity = Address::with_last_byte(4);
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": identity, "data": data}],
    });
    let body = json!(vec![call; 4]).to_string();
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Joins the chunks of a response.
fn joined(mut chunks: &str) -> String {
    let mut whole = String::new();
    loop {
        let (size, rest) = chunks.split_once("\r\n").expect("another chunk");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let (chunk, rest) = rest.split_at_checked(size).expect("all of it");
        if size == 0 {
            return whole;
        }
        whole.push_str(chunk);
        chunks = rest.strip_prefix("\r\n").expect("its end");
    }
}

/// The time limit of a connection passes while its client reads the response: it gets the rest, and
/// no further response.
#[test]
fn an_answer_that_has_begun_ends_after_its_connections_time() {
    let connection_time = Duration::from_millis(300);
    let limits = Limits { connection_time, request_bytes: 32 << 20, ..Limits::default() };
    let (_node, server) = served([127, 0, 0, 1], limits);
    let clients = Clients::of(server.address());
    let mut stream = clients.send(1, &large_request()).expect("it listens");
    let mut begin = [0; 4_096];
    stream.read_exact(&mut begin).expect("an answer");
    sleep(2 * connection_time);
    let mut answer = begin.to_vec();
    stream.read_to_end(&mut answer).expect("the rest");
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let answers: Vec<Value> = serde_json::from_str(&joined(body)).expect("JSON");
    for answer in answers {
        let length = answer["result"].as_str().map(str::len);
        assert_eq!(length, Some(2 + (4 << 20)), "{}", answer["error"]);
    }
}

#[test]
fn a_client_that_reads_too_slowly_loses_its_connection() {
    let limits = Limits {
        connections: 1,
        time: Duration::from_secs(16),
        connection_time: Duration::from_millis(300),
        request_bytes: 32 << 20,
        ..Limits::default()
    };
    let (_node, server) = served([127, 0, 0, 1], limits);
    let clients = Clients::of(server.address());
    let mut stream = clients.send(1, &large_request()).expect("it listens");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 200");
    assert_eq!(clients.status(1), "503", "the only place is taken");
    clients.until(1, "/healthz", "200");
}

#[test]
fn what_clients_ask_for_is_counted() {
    let limits = Limits { connections: 2, time: Duration::from_secs(8), ..Limits::default() };
    let (node, server) = served([127, 0, 0, 1], limits);
    let (shared, clients) = (node.shared(), Clients::of(server.address()));
    let call = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[{params}]}}"#)
    };
    let until = |wanted: u64| {
        let begun = Instant::now();
        while shared.usage().read().connections != wanted {
            assert!(begun.elapsed() < PATIENCE, "{:?}", shared.usage().read());
            sleep(Duration::from_millis(5));
        }
    };
    let post = |host: &str, body: &str| {
        // Closed connections are no longer counted as open.
        until(0);
        clients.post(host, body)
    };
    let id = call("eth_chainId", "");
    assert!(post("localhost", &id).contains(r#""result":"0x7""#));
    let batch = format!("[{id},{},{id}]", call("eth_mistake", ""));
    assert!(post("localhost", &batch).contains("-32601"));
    assert!(post("evil.example", &id).starts_with("HTTP/1.1 403"));
    let bare = SignedTransaction::Eip4844(sign(0, TxEip4844::default()));
    let bare = format!("\"{}\"", hex::encode_prefixed(bare.encoded_2718()));
    assert!(post("localhost", &call("eth_sendRawTransaction", &bare)).contains("sidecar"));
    shared.send(payment(0, 0, 10_u128.pow(10))).expect("admitted");
    shared.send(payment(0, 0, 10_u128.pow(10))).expect_err("known");
    let counts = shared.usage().read();
    for (method, count) in
        [("eth_chainId", 3), ("unknown", 1), ("eth_sendRawTransaction", 1), ("eth_call", 0)]
    {
        assert_eq!(counts.calls[method], count, "{method}");
    }
    assert_eq!(counts.answers, [(200, 3), (403, 1), (503, 0)].into());
    assert_eq!((counts.admitted, counts.pool.transactions, counts.pool.ready), (1, 1, 1));
    for (reason, count) in [("blobs", 1), ("known", 1), ("full", 0)] {
        assert_eq!(counts.refused[reason], count, "{reason}");
    }
    assert_eq!((counts.busy, counts.refused_connections), (0, 0));
    until(0);
    let open: Vec<_> = (0..2).map(|_| clients.busy(1)).collect();
    until(2);
    assert_eq!(clients.status(1), "503", "more than all");
    assert_eq!(shared.usage().read().refused_connections, 1);
    drop(open);
    until(0);
    assert_eq!(shared.usage().read().answers[&200], 3, "questions about its health do not count");
}

/// nginx with the configuration in docs/NODE.md.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    /// Returns `None` if nginx is not installed.
    fn new(folder: &Path, node: SocketAddr) -> Option<Self> {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/NODE.md");
        let page = fs::read_to_string(page).expect("the page");
        let (_, rest) = page.split_once("```nginx\n").expect("a configuration");
        let (text, _) = rest.split_once("```").expect("it ends");
        let port = StdListener::bind("127.0.0.1:0").expect("a port");
        let address = port.local_addr().expect("an address");
        drop(port);
        for needed in ["listen 80;", "127.0.0.1:8545"] {
            assert_eq!(text.matches(needed).count(), 1, "{needed}: {text}");
        }
        let text = text.replace("listen 80;", &format!("listen {address};"));
        let text = text.replace("127.0.0.1:8545", &node.to_string());
        let folder = folder.display();
        let kept = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {folder}/{name};"))
            .join(" ");
        let whole = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;\n\
             events {{}}\nhttp {{ access_log off; {kept}\n{text}\n}}\n"
        );
        let file = format!("{folder}/nginx.conf");
        fs::write(&file, whole).expect("written");
        let mut command = Command::new("nginx");
        command.args(["-e", &format!("{folder}/log"), "-c", &file]);
        match command.spawn() {
            Ok(child) => Some(Self { child, address }),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("nginx: {error}"),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_proxy_that_is_missing_is_a_failure_where_it_is_required() {
    let run = |required: &str| {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(["server::tests::a_real_proxy_limits_each_client", "--exact"]);
        let output =
            command.env("PATH", "/nowhere").env("BRAID_REQUIRE_FIXTURES", required).output();
        String::from_utf8_lossy(&output.expect("it runs").stdout).into_owned()
    };
    let (skipped, failed) = (run("0"), run("1"));
    assert!(skipped.contains("1 passed"), "{skipped}");
    assert!(failed.contains("1 failed") && failed.contains("there is no nginx"), "{failed}");
}

#[test]
fn a_real_proxy_limits_each_client() {
    let (_node, server) = served([127, 0, 0, 1], Limits::default());
    let folder = tempfile::tempdir().expect("a folder");
    let Some(proxy) = Proxy::new(folder.path(), server.address()) else {
        let required = env::var_os("BRAID_REQUIRE_FIXTURES").is_some_and(|value| value == "1");
        assert!(!required, "BRAID_REQUIRE_FIXTURES=1, but there is no nginx");
        eprintln!("skipped: no nginx: apt-get install nginx-light");
        return;
    };
    let clients = Clients::of(proxy.address);
    clients.until(2, "/readyz", "200");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let head = "POST / HTTP/1.1\r\nHost: node.example\r\nContent-Type: application/json\r\n";
    let head = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    // Incomplete requests.
    let slow: Vec<_> = (0..2).filter_map(|_| clients.send(2, &head)).collect();
    assert_eq!(slow.len(), 2);
    clients.until(2, "/readyz", "503");
    let mut other = clients.send(3, &format!("{head}{body}")).expect("it listens");
    let mut answer = String::new();
    other.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""result":"0x7""#), "{answer}");
    drop(slow);
    clients.until(2, "/readyz", "200");
    // More requests than nginx allows at once.
    let refused = (0..60).filter_map(|_| clients.get(4, "/readyz"));
    assert!(refused.filter(|(_, status)| status == "503").count() > 0);
    clients.until(4, "/readyz", "200");
}
