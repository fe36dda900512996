//! The log of requests: one event of `tracing` for each call, for whoever installs a subscriber.

use jsonrpsee::{Extensions, types::Id};
use std::{net::SocketAddr, time::Instant};
use tracing::{Level, enabled, event};

/// Target of the events, whose level is INFO.
pub(crate) const TARGET: &str = "braid_node::rpc";

/// Beginning of the string that stands for a number that jsonrpsee cannot represent as an id.
pub(crate) const STANDIN: &str = "braid-id-2c1b5f0a-";

/// Maximum length of a logged method name, in bytes: clients choose the names of unknown methods.
const NAME: usize = 64;

/// The connection on which a request came, among the extensions of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    /// Number of the connection, counted from 1 since the server was started.
    pub(crate) number: u64,
    /// The client's end of the connection.
    pub(crate) peer: SocketAddr,
}

/// A call that is being answered. It is logged when the value is dropped: as abandoned, unless
/// [`answered`](Self::answered) was called.
#[derive(Debug)]
pub(crate) struct Logged {
    method: String,
    id: &'static str,
    connection: Option<Connection>,
    begun: Instant,
    is_answered: bool,
    code: Option<i32>,
}

impl Logged {
    /// Begins to measure a call; `None` if nobody reads the log. `id` is `None` for a notification.
    pub(crate) fn begin(method: &str, id: Option<&Id<'_>>, request: &Extensions) -> Option<Self> {
        let id = match id {
            Some(Id::Number(_)) => "number",
            Some(Id::Str(id)) => kind_of_text(id),
            Some(Id::Null) => "null",
            None => "none",
        };
        Self::begin_on(method, id, request.get().copied())
    }

    /// Like [`begin`](Self::begin), with the kind of the id.
    pub(crate) fn begin_on(
        method: &str,
        id: &'static str,
        connection: Option<Connection>,
    ) -> Option<Self> {
        if !enabled!(target: TARGET, Level::INFO) {
            return None;
        }
        let method = match method.char_indices().find(|(at, _)| *at >= NAME) {
            Some((at, _)) => format!("{}...", method.get(..at).unwrap_or_default()),
            None => method.to_owned(),
        };
        let (begun, is_answered, code) = (Instant::now(), false, None);
        Some(Self { method, id, connection, begun, is_answered, code })
    }

    /// Logs that the call was answered, with the error's code if it failed.
    pub(crate) fn answered(mut self, code: Option<i32>) {
        (self.is_answered, self.code) = (true, code);
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let what = if self.is_answered { "answered" } else { "abandoned" };
        event!(
            target: TARGET,
            Level::INFO,
            method = self.method,
            id = self.id,
            connection = self.connection.map(|it| it.number),
            peer = self.connection.map(|it| tracing::field::display(it.peer)),
            micros,
            code = self.code,
            "{what}"
        );
    }
}

/// Returns the kind of an id in JSON.
pub(crate) fn kind_of_raw(id: Option<&str>) -> &'static str {
    match id {
        None => "none",
        Some("null") => "null",
        Some(text) if text.starts_with('"') => "string",
        Some(_) => "number",
    }
}

/// Returns the kind of an id that jsonrpsee takes for text: it may stand for a number.
fn kind_of_text(id: &str) -> &'static str {
    if id.starts_with(STANDIN) { "number" } else { "string" }
}

#[cfg(test)]
mod tests {
    use crate::{
        Limits, NodeConfig,
        subscriptions::Subscriptions,
        testing::{Client, begun, node},
    };
    use serde_json::json;
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };
    use tracing::subscriber::set_global_default;
    use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};

    /// Collects the lines of a log.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic holds it").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// The only test of this program that sets a subscriber. Calls of other tests are logged, too,
    /// so this one names methods that only it calls.
    #[test]
    fn each_call_is_logged_once_with_its_outcome() {
        let lines = Lines::default();
        let log = SubscriberBuilder::default().with_writer(lines.clone()).without_time();
        set_global_default(log.with_ansi(false).finish()).expect("the only one");
        let node = node(&begun(), NodeConfig::default());
        let client = Client::new(&node.shared(), Limits::default());
        let post = |body: String| client.runtime.block_on(client.post(1, body));
        let call = |id: &str, method: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["0x1"]}}"#)
        };
        post(call("1", "net_peerCount"));
        post(call("\"a\"", "log_test_1"));
        post(call("null", "log_test_2"));
        post(call("-5", "log_test_3"));
        let long = format!("log_test_4{}", "\\u001b".repeat(100));
        post(call("1", &long));
        let calls = [call("1", "log_test_5"), call("\"b\"", "eth_getBlockReceipts")];
        let told = r#"{"jsonrpc":"2.0","method":"log_test_6"}"#;
        post(format!("[{},{told}]", calls.join(",")));
        post(told.replace('6', "7"));
        let mut subscriptions = Subscriptions::new(node.shared(), 1, None);
        let subscribe = json!({"id": 1, "method": "eth_subscribe", "params": ["log_test_8"]});
        subscriptions.answer(&subscribe.to_string()).expect("its method");
        let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("UTF-8");
        let of = |method: &str| {
            let found = text.lines().filter(|line| line.contains(method)).collect::<Vec<_>>();
            assert_eq!(found.len(), 1, "{method}: {text}");
            assert!(found[0].contains("INFO braid_node::rpc: answered method="), "{}", found[0]);
            assert!(found[0].contains(" micros="), "{}", found[0]);
            found[0].to_owned()
        };
        assert!(
            of("net_peerCount").contains("id=\"number\"") && !of("net_peerCount").contains("code")
        );
        for (method, id, code) in [
            ("log_test_1", "string", -32_601),
            ("log_test_2", "null", -32_601),
            ("log_test_3", "number", -32_601),
            ("log_test_4", "number", -32_601),
            ("log_test_5", "number", -32_601),
        ] {
            let line = of(method);
            assert!(line.contains(&format!("id=\"{id}\"")), "{line}");
            assert!(line.contains(&format!("code={code}")), "{line}");
        }
        assert!(of("log_test_4").len() < 600 && !text.contains('\u{1b}'), "{}", of("log_test_4"));
        assert!(of("log_test_6").contains("id=\"none\""));
        assert!(of("log_test_7").contains("id=\"none\""));
    }
}
