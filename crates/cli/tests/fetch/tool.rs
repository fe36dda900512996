//! The binary, over a real connection.

use super::node::{Fault, Node};
use braid_blocks::block_file::BlockFile;
use braid_cli::fetch::TransportError;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    thread,
};

/// Answers requests on a free port until the process ends, and returns the URL.
fn serve(node: impl FnOnce() -> Node + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let node = node();
        for connection in listener.incoming() {
            // If a client disconnects, its test fails.
            let _ = connection.and_then(|connection| answer_all(&node, connection));
        }
    });
    format!("http://{address}/SECRET")
}

fn answer_all(node: &Node, connection: TcpStream) -> std::io::Result<()> {
    // Head and body are separate writes. With Nagle's algorithm, the second would wait for the
    // acknowledgement of the first.
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut writer = connection;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut request = vec![0; length];
        reader.read_exact(&mut request)?;
        let (status, body) = match node.answer(&request) {
            Ok(answer) => (200, answer),
            Err(TransportError::Status(status)) => (status, Vec::new()),
            Err(_) => {
                // Never answers.
                thread::park();
                continue;
            }
        };
        write!(writer, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len())?;
        writer.write_all(&body)?;
    }
}

fn fetch(url: &str, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.args(["fetch", "--rpc", url, "--block", "latest", "--out"]).arg(out).args(more);
    command.output().expect("the tool starts")
}

fn text(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    streams.map(|stream| String::from_utf8_lossy(stream).into_owned()).concat()
}

#[test]
fn records_over_http_and_runs_what_it_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = || {
        Node::meddled(|method, before, _| {
            let busy = method == "eth_chainId" && before == 0;
            busy.then_some(Fault::Transport(TransportError::Status(503)))
        })
    };
    let url = serve(node);
    for name in ["a.json", "a.json.gz", "a.json.zst"] {
        let out = folder.path().join(name);
        let output = fetch(&url, &out, &["--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let line: Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
        assert_eq!(line["ok"], true);
        assert_eq!(line["txs"], 30);
        let file = BlockFile::read(&out).expect("a block file");
        assert!(!file.meta.source.contains("SECRET"), "{}", file.meta.source);
        let mut run = Command::new(env!("CARGO_BIN_EXE_braid"));
        run.args(["run", "--policy", "speculative", "--workers", "3"]).arg(&out);
        let output = run.args(["--check-signatures"]).output().expect("the tool starts");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(left.len(), 3, "something was left behind: {left:?}");
}

#[test]
fn an_access_list_lies_beside_the_block() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("a.json.zst");
    let output = fetch(&serve(Node::honest), &out, &["--bal", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let line: Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    let list = folder.path().join("a.bal.rlp");
    assert_eq!(line["access_list"].as_str(), list.to_str());
    let mut run = Command::new(env!("CARGO_BIN_EXE_braid"));
    let output = run.args(["run", "--rounds=1", "--bal"]).arg(&list).arg(&out).output();
    let output = output.expect("the tool starts");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let streamed = fetch("http://x", Path::new("-"), &["--bal"]);
    assert_eq!(streamed.status.code(), Some(2));
    assert!(text(&streamed).contains("--out"), "{}", text(&streamed));
}

#[test]
fn nothing_is_written_unless_all_was_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("kept.json");
    fs::write(&out, "before").expect("writes");
    let wrong = || {
        Node::meddled(|method, _, honest| {
            let mut receipts = honest.clone();
            *receipts.pointer_mut("/0/gasUsed")? = "0x1".into();
            (method == "eth_getBlockReceipts").then_some(Fault::Result(receipts))
        })
    };
    let silent = || Node::meddled(|_, _, _| Some(Fault::Transport(TransportError::TimedOut)));
    let unheard = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one");
    for (url, code, words) in [
        (serve(wrong), 1, "transaction 0: expected gas 1"),
        (serve(silent), 2, "eth_chainId"),
        (format!("http://{unheard}/SECRET"), 2, "eth_chainId"),
        ("ws://127.0.0.1/SECRET".to_owned(), 2, "http://127.0.0.1:8545"),
    ] {
        let output = fetch(&url, &out, &["--timeout", "1", "--attempts", "2"]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{url}: {said}");
        assert!(said.contains(words) && !said.contains("SECRET"), "{url}: {said}");
        assert_eq!(fs::read_to_string(&out).expect("still there"), "before");
    }
    for name in ["a.txt", "missing/a.json"] {
        let output = fetch(&serve(Node::honest), &folder.path().join(name), &[]);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", text(&output));
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn help_and_wrong_options() {
    let braid = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
        command.args(arguments).output().expect("the tool starts")
    };
    let help = text(&braid(&["fetch", "--help"]));
    for word in ["Examples:", "--rpc", "--block", "--out", "--tracer", "--fork", "Exit code"] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    let with = |more: &[&str]| {
        let all = [&["fetch", "--rpc", "http://x", "--out", "-", "--block"], more].concat();
        braid(&all).status.code()
    };
    for wrong in
        [&["soon"][..], &["1", "--fork", "pragu"], &["1", "--attempts", "0"], &["1", "--json"]]
    {
        assert_eq!(with(wrong), Some(2), "{wrong:?}");
    }
}
