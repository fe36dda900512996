//! Helpers for a real Prometheus, `promtool` and the dashboard's queries.

use crate::{metrics::get, support::skipped};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Timeout for expected events.
const PATIENCE: Duration = Duration::from_secs(60);
/// Poll interval.
const PAUSE: Duration = Duration::from_millis(50);

/// Returns the output of `promtool check metrics`, if it is installed.
pub(crate) fn promtool(text: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skipped("no promtool: apt-get install prometheus");
        return None;
    };
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("ends");
    Some(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// A Prometheus that scrapes one address.
pub(crate) struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    /// Starts Prometheus with its files in a new `folder`; returns `None` if it is not installed.
    pub(crate) fn new(folder: &Path, target: &str) -> Option<Self> {
        fs::create_dir(folder).expect("a folder");
        let config = folder.join("prometheus.yml");
        let text = format!(
            "scrape_configs:\n- job_name: braid\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
        );
        fs::write(&config, text).expect("writes");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = port.local_addr().expect("an address").to_string();
        drop(port);
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            skipped("no prometheus: apt-get install prometheus");
            return None;
        };
        Some(Self { child, address })
    }

    /// Returns the result of a query, if it succeeds.
    fn query(&self, query: &str) -> Option<Vec<Value>> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = get(&self.address, &format!("/api/v1/query?query={encoded}"))?;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        Some(answer["data"]["result"].as_array().expect("a vector").clone())
    }

    /// Waits until a query has the value `wanted`.
    pub(crate) fn until(&self, query: &str, wanted: &str) {
        let begun = Instant::now();
        loop {
            let found = self.query(query).unwrap_or_default();
            if found.first().is_some_and(|it| it["value"][1] == wanted) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{query}: {found:?}");
            sleep(PAUSE);
        }
    }

    /// Waits until each of `queries` has a result: a rate needs two scrapes.
    pub(crate) fn answers(&self, queries: &[String]) {
        let begun = Instant::now();
        for query in queries {
            while self.query(query).is_none_or(|found| found.is_empty()) {
                assert!(begun.elapsed() < PATIENCE, "{query}: no result");
                sleep(PAUSE);
            }
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Chains that have the metrics of a query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chains {
    All,
    /// Chains that build their own blocks.
    Rpc,
}

/// Returns the queries of the dashboard, with Grafana's interval variable replaced.
pub(crate) fn queries(of: Chains) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/dashboard.json");
    let text = fs::read_to_string(path).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|it| it["targets"].as_array().expect("targets"));
    let query =
        |it: &Value| it["expr"].as_str().expect("a query").replace("$__rate_interval", "1m");
    let is_rpc = |query: &str| query.contains("braid_pool_") || query.contains("braid_rpc_");
    targets.map(query).filter(|query| is_rpc(query) == (of == Chains::Rpc)).collect()
}

/// Asserts that a scrape has each metric of `queries`.
pub(crate) fn are_served(queries: &[String], text: &str) {
    let is_name = |word: &&str| word.starts_with("braid_") || word.starts_with("process_");
    for query in queries {
        let words = query.split(|c: char| !c.is_alphanumeric() && c != '_');
        let names: Vec<&str> = words.filter(is_name).collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| name.strip_suffix(part))
                .unwrap_or(name);
            assert!(text.contains(&format!("# TYPE {name} ")), "{query}: there is no {name}");
        }
    }
}
