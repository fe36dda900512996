//! `braid-node run --metrics`.
//!
//! 1. A scrape during the run reports the executed blocks.
//! 2. A real Prometheus, if installed, scrapes the node and answers each query of the dashboard.
//!    With `BRAID_REQUIRE_FIXTURES=1` it must be installed.

use crate::{
    chain::{Demo, braid_node, json},
    prometheus::{Chains, Prometheus, are_served, promtool, queries},
};
use serde_json::Value;
use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Timeout for expected events.
const PATIENCE: Duration = Duration::from_secs(60);
/// Poll interval.
const PAUSE: Duration = Duration::from_millis(50);

/// A node with metrics that executes the blocks on its standard input.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    pub(crate) address: String,
}

impl Running {
    pub(crate) fn new(folder: &str) -> Self {
        let mut command = braid_node(&["run", "--json", "--metrics", "0", folder, "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool starts");
        let mut said = String::new();
        let errors = child.stderr.take().expect("a pipe");
        BufReader::new(errors).read_line(&mut said).expect("a line");
        let address = said.trim().strip_prefix("metrics: http://").expect("an address");
        let address = address.strip_suffix("/metrics").expect("a path").to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        Self { input: child.stdin.take(), child, address }
    }

    /// Sends blocks, and waits until they are counted.
    pub(crate) fn executes(&mut self, blocks: &[u8], number: u64) -> String {
        self.input.as_mut().expect("open").write_all(blocks).expect("the tool reads");
        self.until("braid_blocks_total", number)
    }

    /// Waits until `name` has this value, and returns the text of that scrape.
    fn until(&self, name: &str, number: u64) -> String {
        let begun = Instant::now();
        loop {
            let text = get(&self.address, "/metrics").expect("an answer");
            if value(&text, name) == Some(number as f64) {
                return text;
            }
            assert!(begun.elapsed() < PATIENCE, "{text}");
            sleep(PAUSE);
        }
    }

    /// Ends the input, and returns the report.
    pub(crate) fn end(mut self) -> Value {
        drop(self.input.take());
        let mut text = String::new();
        let mut output = self.child.stdout.take().expect("a pipe");
        output.read_to_string(&mut text).expect("text");
        assert!(self.child.wait().expect("ends").success());
        serde_json::from_str(&text).expect("one JSON object")
    }
}

/// Returns the body of a response, if it reports success.
pub(crate) fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split_whitespace().nth(1).filter(|status| *status == "200")?;
    Some(body.to_owned())
}

/// Returns the value of a sample. `name` includes its labels, if there are any.
pub(crate) fn value(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

/// Returns the sum over all labels.
fn sum(text: &str, name: &str) -> f64 {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    samples
        .map(|it| it.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number"))
        .sum()
}

#[test]
fn a_scrape_tells_what_was_executed() {
    let demo = Demo::new(4);
    let folder = demo.begun("chain");
    let blocks = fs::read(demo.path("demo/blocks.rlp")).expect("reads");
    let mut running = Running::new(&folder);
    for (path, said) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        assert_eq!(get(&running.address, path).as_deref(), Some(said));
    }
    let before = get(&running.address, "/metrics").expect("an answer");
    assert_eq!(value(&before, "braid_blocks_total"), Some(0.0));
    let text = running.executes(&blocks, 4);
    // Even while the input pauses.
    let durable = running.until("braid_durable_block", 4);
    for name in ["braid_store_prepare_seconds", "braid_store_write_seconds"] {
        assert_eq!(value(&durable, &format!("{name}_count")), Some(4.0), "{durable}");
        assert!(value(&durable, &format!("{name}_sum")) > Some(0.0), "{durable}");
    }
    // The second block finds trie nodes of the first in the cache.
    let nodes = "braid_cache_hits_total{cache=\"trie_nodes\"}";
    assert!(value(&durable, nodes) > Some(0.0), "{durable}");
    if let Some(said) = promtool(&text) {
        assert_eq!(said, "");
    }
    let address = running.address.clone();
    let report = running.end();
    for (name, field) in [
        ("braid_blocks_total", "blocks"),
        ("braid_transactions_total", "transactions"),
        ("braid_gas_total", "gas"),
    ] {
        assert_eq!(value(&text, name), report[field].as_f64(), "{name}: {text}");
    }
    let transactions = value(&text, "braid_transactions_total").expect("a value");
    assert_eq!(value(&text, "braid_head_block"), Some(4.0));
    assert!(value(&text, "braid_durable_block").is_some_and(|it| it <= 4.0));
    assert!(value(&text, "braid_runs_total") >= Some(transactions));
    assert_eq!(sum(&text, "braid_strategy_transactions_total"), transactions, "{text}");
    assert_eq!(value(&text, "braid_segment_transactions_sum"), Some(transactions));
    assert_eq!(value(&text, "braid_block_seconds_count"), Some(4.0));
    assert!(value(&text, "braid_block_seconds_sum") > Some(0.0));
    assert!(value(&text, "braid_busy_seconds_total") > Some(0.0));
    assert!(value(&text, "braid_idle_seconds_total") >= Some(0.0));
    assert!(value(&text, "braid_store_read_seconds_count") > Some(0.0));
    let aborts = sum(&text, "braid_aborts_total");
    assert!(Some(aborts) <= value(&text, "braid_runs_total"), "{text}");
    assert!(value(&text, "process_cpu_seconds_total") > Some(0.0));
    assert!(value(&text, "process_resident_memory_bytes") > Some(1e6));
    assert!(get(&address, "/metrics").is_none(), "served after the end");
}

#[test]
fn a_chain_that_goes_on_tells_where_it_is() {
    let demo = Demo::new(3);
    let (folder, rlp) = (demo.begun("chain"), demo.path("demo/blocks.rlp"));
    assert_eq!(json(&["run", &folder, &rlp])["blocks"], 3);
    let running = Running::new(&folder);
    let text = get(&running.address, "/metrics").expect("an answer");
    for (name, number) in [("blocks_total", 0.0), ("head_block", 3.0), ("durable_block", 3.0)] {
        assert_eq!(value(&text, &format!("braid_{name}")), Some(number), "{text}");
    }
    assert_eq!(running.end()["blocks"], 0);
}

#[test]
fn an_address_that_is_none_or_is_taken_says_what_to_do() {
    let demo = Demo::new(1);
    let (folder, rlp) = (demo.begun("chain"), demo.path("demo/blocks.rlp"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    for (address, said) in [("localhost", "127.0.0.1:9184"), (&*taken, "choose another port")] {
        let output = braid_node(&["run", "--metrics", address, &folder, &rlp]).output();
        let output = output.expect("the tool starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
    assert_eq!(json(&["run", &folder, &rlp])["blocks"], 1);
}

#[test]
fn each_metric_of_the_dashboard_is_served() {
    let demo = Demo::new(1);
    let running = Running::new(&demo.begun("chain"));
    let text = get(&running.address, "/metrics").expect("an answer");
    let queries = queries(Chains::All);
    assert!(queries.len() >= 10, "{queries:?}");
    are_served(&queries, &text);
    // A chain without clients has no metrics of clients.
    assert!(!text.contains("braid_pool_") && !text.contains("braid_rpc_"), "{text}");
    assert_eq!(running.end()["blocks"], 0);
}

#[test]
fn a_real_prometheus_scrapes_and_answers() {
    let demo = Demo::new(4);
    let folder = demo.begun("chain");
    let rlp = fs::read(demo.path("demo/blocks.rlp")).expect("reads");
    let mut running = Running::new(&folder);
    let data = PathBuf::from(demo.path("prometheus"));
    let Some(prometheus) = Prometheus::new(&data, &running.address) else { return };
    prometheus.until("braid_blocks_total", "0");
    let text = running.executes(&rlp, 4);
    let transactions = value(&text, "braid_transactions_total").expect("a value");
    prometheus.until("braid_blocks_total", "4");
    prometheus.until("sum(braid_strategy_transactions_total)", &transactions.to_string());
    prometheus.until("up{job=\"braid\"}", "1");
    prometheus.answers(&queries(Chains::All));
    running.end();
}

/// A test that needs a missing program must fail where all programs are required, as in the CI.
#[test]
fn what_is_missing_is_a_failure_where_it_is_required() {
    for test in [
        "metrics::a_real_prometheus_scrapes_and_answers",
        "metrics::a_scrape_tells_what_was_executed",
        "top::a_terminal_shows_it_until_a_key_ends_it",
    ] {
        let run = |required: &str| {
            let mut command = Command::new(env::current_exe().expect("this program"));
            command.args([test, "--exact"]).env("PATH", "/nowhere");
            let output = command.env("BRAID_REQUIRE_FIXTURES", required).output();
            let output = output.expect("it runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("1 passed") != said.contains("1 failed"), "{said}");
            (output.status.success(), said)
        };
        let (is_fine, said) = run("0");
        assert!(is_fine, "{said}");
        let (is_fine, said) = run("1");
        assert!(
            !is_fine && said.contains("BRAID_REQUIRE_FIXTURES=1, but it would be skipped: no"),
            "{said}"
        );
    }
}
