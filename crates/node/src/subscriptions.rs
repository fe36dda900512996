//! Subscriptions of a WebSocket: `eth_subscribe` and `eth_unsubscribe`.

use crate::{
    error::RpcError,
    feed::{BlockCursor, Missed, TransactionCursor},
    filters::Ids,
    logs::of_block,
    request_log::{Connection, Logged, kind_of_raw},
    shared::Shared,
    stored::RpcTransaction,
};
use alloy_consensus::transaction::{Recovered, TransactionInfo};
use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{BlockTransactionsKind, Filter};
use braid_chain::Snapshot;
use jsonrpsee::types::ErrorObjectOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Names of the methods, for the counters of calls.
pub(crate) const METHODS: [&str; 2] = ["eth_subscribe", "eth_unsubscribe"];

/// Maximum number of transactions that are looked up at once.
const TRANSACTIONS: usize = 64;

/// A call that only a WebSocket answers.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: String,
    #[serde(default)]
    params: Vec<Value>,
}

/// Subject of a subscription, and its position in the feed.
#[derive(Debug)]
enum Kind {
    Heads(BlockCursor),
    Logs(Box<Filter>, BlockCursor),
    Transactions {
        cursor: TransactionCursor,
        is_full: bool,
    },
    /// Reports once that the node does not synchronize.
    Syncing {
        is_told: bool,
    },
}

/// The subscriptions of one WebSocket.
#[derive(Debug)]
pub(crate) struct Subscriptions<S> {
    shared: Arc<Shared<S>>,
    limit: usize,
    ids: Ids,
    open: BTreeMap<u64, Kind>,
    /// Messages of the last step that are not sent yet.
    messages: VecDeque<String>,
    /// The WebSocket's connection, for the log.
    connection: Option<Connection>,
}

impl<S: Snapshot> Subscriptions<S> {
    /// Creates an empty set of at most `limit` subscriptions.
    pub(crate) fn new(
        shared: Arc<Shared<S>>,
        limit: usize,
        connection: Option<Connection>,
    ) -> Self {
        let (ids, open, messages) = (Ids::default(), BTreeMap::new(), VecDeque::new());
        Self { shared, limit, ids, open, messages, connection }
    }

    /// Answers a message that is a call of one of [`METHODS`]; `None` for others.
    pub(crate) fn answer(&mut self, message: &str) -> Option<String> {
        let call: Call<'_> = serde_json::from_str(message).ok()?;
        if !METHODS.contains(&call.method.as_str()) {
            return None;
        }
        self.shared.usage().call(&call.method);
        let kind = kind_of_raw(call.id.map(RawValue::get));
        let logged = Logged::begin_on(&call.method, kind, self.connection);
        let result = match call.method.as_str() {
            "eth_subscribe" => self.subscribe(call.params).map(|id| json!(id)),
            _ => self.unsubscribe(&call.params).map(Value::from),
        };
        let id = call.id.map_or("null", RawValue::get);
        let result = result.map_err(ErrorObjectOwned::from);
        if let Some(logged) = logged {
            logged.answered(result.as_ref().err().map(ErrorObjectOwned::code));
        }
        let answer = match result {
            Ok(result) => format!(r#""result":{result}"#),
            Err(error) => format!(r#""error":{}"#, json!(error)),
        };
        Some(format!(r#"{{"jsonrpc":"2.0","id":{id},{answer}}}"#))
    }

    fn subscribe(&mut self, params: Vec<Value>) -> Result<U64, RpcError> {
        if self.open.len() >= self.limit {
            let limit = self.limit as u64;
            return Err(RpcError::Limit { limit, what: "subscriptions" });
        }
        let mut params = params.into_iter();
        let (kind, options) = (params.next().unwrap_or_default(), params.next());
        let options = options.filter(|options| !options.is_null());
        let wrong = |error: serde_json::Error| RpcError::Params(error.to_string());
        let kind = match kind.as_str().unwrap_or_default() {
            "newHeads" => Kind::Heads(self.shared.last_block()),
            "logs" => {
                let filter = options.map(serde_json::from_value).transpose().map_err(wrong)?;
                Kind::Logs(filter.unwrap_or_default(), self.shared.last_block())
            }
            "newPendingTransactions" => {
                let is_full = options.map(serde_json::from_value).transpose().map_err(wrong)?;
                let cursor = self.shared.feed.last_transaction();
                Kind::Transactions { cursor, is_full: is_full.unwrap_or(false) }
            }
            "syncing" => Kind::Syncing { is_told: false },
            other => return Err(RpcError::Params(format!("no \"{other}\" subscription"))),
        };
        let id = self.ids.next();
        self.open.insert(id, kind);
        Ok(U64::from(id))
    }

    fn unsubscribe(&mut self, params: &[Value]) -> Result<bool, RpcError> {
        let id = params.first().and_then(|id| U64::deserialize(id).ok());
        let id = id.ok_or_else(|| RpcError::Params("expected a subscription's id".to_owned()))?;
        Ok(self.open.remove(&id.to()).is_some())
    }

    /// Returns the next message to send; `None` if nothing has happened.
    ///
    /// # Errors
    /// The client reads so slowly that blocks it has not seen are not kept any more.
    pub(crate) fn next(&mut self) -> Result<Option<String>, Missed> {
        while self.messages.is_empty() {
            let mut is_idle = true;
            for (id, kind) in &mut self.open {
                is_idle &= !step(&self.shared, kind, |result| {
                    self.messages.push_back(notification(*id, result));
                })?;
            }
            if is_idle {
                break;
            }
        }
        Ok(self.messages.pop_front())
    }
}

/// Passes the next event of a subscription to `tell`: one block, or some transactions. Returns
/// whether there was one.
fn step<S: Snapshot>(
    shared: &Shared<S>,
    kind: &mut Kind,
    mut tell: impl FnMut(Value),
) -> Result<bool, Missed> {
    match kind {
        Kind::Heads(cursor) => {
            let Some(block) = shared.next_block(cursor)? else { return Ok(false) };
            tell(json(&block.block(BlockTransactionsKind::Hashes).header));
        }
        Kind::Logs(filter, cursor) => {
            let Some(block) = shared.next_block(cursor)? else { return Ok(false) };
            // The receipts of a new block are there.
            let logs = of_block(&block, filter).unwrap_or_default();
            logs.iter().for_each(|log| tell(json(log)));
        }
        Kind::Transactions { cursor, is_full } => {
            let hashes = shared.feed.transactions(cursor, TRANSACTIONS);
            if hashes.is_empty() {
                return Ok(false);
            }
            for hash in hashes {
                match *is_full {
                    true => transaction(shared, &hash).iter().for_each(|tx| tell(json(tx))),
                    false => tell(json!(hash)),
                }
            }
        }
        Kind::Syncing { is_told } => {
            if core::mem::replace(is_told, true) {
                return Ok(false);
            }
            tell(json!(false));
        }
    }
    Ok(true)
}

/// Returns a transaction of the pool, or of a block by now.
fn transaction<S: Snapshot>(shared: &Shared<S>, hash: &B256) -> Option<RpcTransaction> {
    let held = shared.hold();
    let waiting = || {
        let tx = held.pool.get(hash)?;
        let tx = Recovered::new_unchecked(tx.signed().clone(), tx.sender());
        Some(RpcTransaction::from_transaction(tx, TransactionInfo::default()))
    };
    let mined = shared.history().transaction(hash);
    mined.and_then(|(block, index)| block.transaction(index)).or_else(waiting)
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn notification(id: u64, result: Value) -> String {
    let params = json!({"subscription": U64::from(id), "result": result});
    json!({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Node, NodeConfig,
        testing::{begun, node, payment},
    };
    use braid_chain::{MemorySnapshot, MemoryStore};

    /// Gas price that exceeds every base fee in these tests.
    const PRICE: u128 = 10_000_000_000;

    fn make(node: &mut Node<MemoryStore>, nonce: u64) {
        node.shared().send(payment(0, nonce, PRICE)).expect("admitted");
        node.step(0).expect("works").expect("made");
        node.chain().flush().expect("durable");
        node.shared().show();
    }

    fn ask(
        subscriptions: &mut Subscriptions<MemorySnapshot>,
        method: &str,
        params: Value,
    ) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": "a", "method": method, "params": params});
        let answer = subscriptions.answer(&call.to_string()).expect("its method");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!((&answer["id"], &answer["jsonrpc"]), (&json!("a"), &json!("2.0")));
        answer
    }

    /// Returns all messages, as subscription and result.
    fn all(subscriptions: &mut Subscriptions<MemorySnapshot>) -> Vec<(Value, Value)> {
        let mut found = Vec::new();
        while let Some(message) = subscriptions.next().expect("blocks are kept") {
            let mut message: Value = serde_json::from_str(&message).expect("JSON");
            assert_eq!(message["method"], "eth_subscription");
            let params = message["params"].take();
            found.push((params["subscription"].clone(), params["result"].clone()));
        }
        found
    }

    #[test]
    fn subscriptions_tell_everything_once_and_in_order() {
        let mut node = node(&begun(), NodeConfig::default());
        let shared = node.shared();
        let mut subscriptions = Subscriptions::new(Arc::clone(&shared), 10, None);
        make(&mut node, 0);
        let mut open =
            |params: Value| ask(&mut subscriptions, "eth_subscribe", params)["result"].take();
        let heads = open(json!(["newHeads"]));
        let logs = open(json!(["logs", {"address": []}]));
        let [hashes, full] = [json!([]), json!([true])].map(|more| {
            let more = more.as_array().expect("a list").clone();
            open(Value::from([vec![json!("newPendingTransactions")], more].concat()))
        });
        let syncing = open(json!(["syncing"]));
        assert_eq!(all(&mut subscriptions), [(syncing, json!(false))]);
        make(&mut node, 1);
        make(&mut node, 2);
        let found = all(&mut subscriptions);
        let of = |id: &Value| {
            let found = found.iter().filter(|(subscription, _)| subscription == id);
            found.map(|(_, result)| result.clone()).collect::<Vec<_>>()
        };
        let numbers: Vec<_> = of(&heads).iter().map(|head| head["number"].clone()).collect();
        assert_eq!(numbers, ["0x2", "0x3"]);
        assert_eq!(of(&logs), Vec::<Value>::new(), "payments have no logs");
        let sent: Vec<_> = of(&full).iter().map(|tx| tx["hash"].clone()).collect();
        assert_eq!((of(&hashes), sent.len()), (sent, 2));
        assert!(all(&mut subscriptions).is_empty(), "told once");
        assert_eq!(ask(&mut subscriptions, "eth_unsubscribe", json!([heads]))["result"], true);
        assert_eq!(ask(&mut subscriptions, "eth_unsubscribe", json!([heads]))["result"], false);
        make(&mut node, 3);
        assert!(all(&mut subscriptions).iter().all(|(id, _)| *id == hashes || *id == full));
    }

    #[test]
    fn wrong_subscriptions_are_refused_and_their_number_is_bounded() {
        let node = node(&begun(), NodeConfig::default());
        let mut subscriptions = Subscriptions::new(node.shared(), 1, None);
        for params in
            [json!([]), json!(["newMoons"]), json!(["logs", {"address": "x"}]), json!([7])]
        {
            let answer = ask(&mut subscriptions, "eth_subscribe", params);
            assert_eq!(answer["error"]["code"], -32_602, "{answer}");
        }
        assert_eq!(
            ask(&mut subscriptions, "eth_unsubscribe", json!(["x"]))["error"]["code"],
            -32_602
        );
        ask(&mut subscriptions, "eth_subscribe", json!(["logs"]));
        let answer = ask(&mut subscriptions, "eth_subscribe", json!(["newHeads"]));
        assert_eq!(answer["error"]["code"], -32_005, "{answer}");
        for other in ["{", "[]", r#"{"id":1,"method":"eth_chainId"}"#] {
            assert_eq!(subscriptions.answer(other), None, "{other}");
        }
    }

    #[test]
    fn a_client_that_has_missed_blocks_is_told() {
        let config = NodeConfig { history_blocks: 2, ..NodeConfig::default() };
        let mut node = node(&begun(), config);
        let mut subscriptions = Subscriptions::new(node.shared(), 1, None);
        ask(&mut subscriptions, "eth_subscribe", json!(["newHeads"]));
        (0..3).for_each(|nonce| make(&mut node, nonce));
        assert_eq!(subscriptions.next(), Err(Missed));
    }
}
