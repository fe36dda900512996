//! Filters, which clients install and poll: `eth_newFilter` and related methods.

use crate::{
    clients::Taken,
    error::RpcError,
    feed::{BlockCursor, TransactionCursor},
    limits::Limits,
    logs::{logs, of_block},
    places::Place,
    shared::Shared,
};
use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Filter, Log};
use braid_chain::Snapshot;
use serde::Serialize;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Subject of a filter, and its position in the feed.
#[derive(Clone, Debug)]
pub(crate) enum Watched {
    Blocks(BlockCursor),
    Logs(Arc<Filter>, BlockCursor),
    Transactions(TransactionCursor),
}

/// Changes since the previous poll.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<Log>),
}

/// Installed filter. It counts toward its client's limit.
#[derive(Debug)]
struct Installed {
    watched: Watched,
    used: Instant,
    _place: Taken,
}

/// Filters by id. The ids cannot be guessed.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    installed: Mutex<HashMap<u64, Installed>>,
    ids: Ids,
}

/// Generator of ids that cannot be guessed.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// Has a random key.
    hasher: RandomState,
    count: Mutex<u64>,
}

impl Ids {
    pub(crate) fn next(&self) -> u64 {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.wrapping_add(1);
        self.hasher.hash_one(*count)
    }
}

impl Filters {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Installed>> {
        self.installed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Installs a filter for the client of `place`, and removes filters unused for
    /// `limits.filter_time`.
    pub(crate) fn install(
        &self,
        limits: &Limits,
        place: &Place,
        watched: Watched,
    ) -> Result<U64, RpcError> {
        self.expire(limits.filter_time);
        let limit = limits.filters as u64;
        let place = place.filter().ok_or(RpcError::Limit { limit, what: "filters" })?;
        let id = self.ids.next();
        let installed = Installed { watched, used: Instant::now(), _place: place };
        self.lock().insert(id, installed);
        Ok(U64::from(id))
    }

    /// Removes filters unused for `time`.
    fn expire(&self, time: Duration) {
        self.lock().retain(|_, filter| filter.used.elapsed() < time);
    }

    /// Removes a filter, and returns whether it was installed.
    pub(crate) fn uninstall(&self, id: U64) -> bool {
        self.lock().remove(&id.to()).is_some()
    }

    /// Returns the subject of a filter, and marks the filter as used.
    fn find(&self, limits: &Limits, id: U64) -> Result<Watched, RpcError> {
        self.expire(limits.filter_time);
        let mut installed = self.lock();
        let filter = installed.get_mut(&id.to()).ok_or(RpcError::NoFilter)?;
        filter.used = Instant::now();
        Ok(filter.watched.clone())
    }

    fn moved(&self, id: U64, watched: Watched) {
        if let Some(filter) = self.lock().get_mut(&id.to()) {
            filter.watched = watched;
        }
    }
}

/// Returns the changes since the previous poll. Beyond `limits.logs` entries, the next call returns
/// the rest.
pub(crate) fn changes<S: Snapshot>(
    shared: &Shared<S>,
    limits: &Limits,
    place: &Place,
    id: U64,
) -> Result<Changes, RpcError> {
    let mut watched = shared.filters.find(limits, id)?;
    let changes = match &mut watched {
        Watched::Transactions(cursor) => {
            Ok(Changes::Hashes(shared.feed.transactions(cursor, limits.logs)))
        }
        Watched::Blocks(cursor) => {
            let mut hashes = Vec::new();
            each_block(shared, place, cursor, |block| {
                hashes.push(block.hash);
                Ok(hashes.len() < limits.logs)
            })
            .map(|()| Changes::Hashes(hashes))
        }
        Watched::Logs(filter, cursor) => {
            let mut found = Vec::new();
            each_block(shared, place, cursor, |block| {
                found.extend(of_block(block, filter)?);
                Ok(found.len() < limits.logs)
            })
            .map(|()| Changes::Logs(found))
        }
    };
    match &changes {
        Ok(_) => shared.filters.moved(id, watched),
        // Blocks are missing: the client installs a new filter, as after it has expired.
        Err(RpcError::NoFilter) => drop(shared.filters.uninstall(id)),
        Err(_) => {}
    }
    changes
}

/// Calls `each` for the blocks after the cursor while it returns true.
fn each_block<S: Snapshot>(
    shared: &Shared<S>,
    place: &Place,
    cursor: &mut BlockCursor,
    mut each: impl FnMut(&crate::stored::StoredBlock) -> Result<bool, RpcError>,
) -> Result<(), RpcError> {
    while let Some(block) = shared.next_block(cursor).map_err(|_| RpcError::NoFilter)? {
        place.check()?;
        if !each(&block)? {
            break;
        }
    }
    Ok(())
}

/// Returns all logs that match an installed filter.
pub(crate) fn all_logs<S: Snapshot>(
    shared: &Shared<S>,
    limits: &Limits,
    place: &Place,
    id: U64,
) -> Result<Vec<Log>, RpcError> {
    match shared.filters.find(limits, id)? {
        Watched::Logs(filter, _) => logs(shared, place, limits.logs, &filter),
        Watched::Blocks(_) | Watched::Transactions(_) => Err(RpcError::NoFilter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Node, NodeConfig,
        testing::{Client, begun, logging, node},
    };
    use braid_chain::MemoryStore;
    use serde_json::{Value, json};

    /// Gas price that exceeds every base fee in these tests.
    const PRICE: u128 = 10_000_000_000;

    fn make(node: &mut Node<MemoryStore>, nonce: u64) {
        node.shared().send(logging(nonce, PRICE)).expect("admitted");
        node.step(0).expect("works").expect("made");
        node.chain().flush().expect("durable");
    }

    fn install(client: &Client, method: &str, params: Value) -> Value {
        client.result(method, params)
    }

    #[test]
    fn filters_tell_what_has_happened_since_the_last_call() {
        let mut node = node(&begun(), NodeConfig::default());
        let client = Client::new(&node.shared(), Limits::default());
        make(&mut node, 0);
        let two = json!([{"topics": [format!("0x{:064x}", 2)]}]);
        let [blocks, logs, second, sent] = [
            ("eth_newBlockFilter", json!([])),
            ("eth_newFilter", json!([{"fromBlock": "earliest"}])),
            ("eth_newFilter", two),
            ("eth_newPendingTransactionFilter", json!([])),
        ]
        .map(|(method, params)| install(&client, method, params));
        let changes = |id: &Value| client.result("eth_getFilterChanges", json!([id]));
        for id in [&blocks, &logs, &second, &sent] {
            assert_eq!(changes(id), json!([]), "nothing has happened yet");
        }
        make(&mut node, 1);
        make(&mut node, 2);
        let hash = |number: u64| {
            let block = client.result("eth_getBlockByNumber", json!([U64::from(number), false]));
            (block["hash"].clone(), block["transactions"][0].clone())
        };
        assert_eq!(changes(&blocks), json!([hash(2).0, hash(3).0]));
        assert_eq!(changes(&sent), json!([hash(2).1, hash(3).1]));
        let numbers = |logs: &Value| {
            let logs = logs.as_array().expect("logs").iter();
            logs.map(|log| log["blockNumber"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&changes(&logs)), ["0x2", "0x3"]);
        assert_eq!(numbers(&changes(&second)), ["0x2"]);
        for id in [&blocks, &logs, &second, &sent] {
            assert_eq!(changes(id), json!([]), "told once");
        }
        let all = client.result("eth_getFilterLogs", json!([logs]));
        assert_eq!(numbers(&all), ["0x1", "0x2", "0x3"]);
        assert_eq!(client.result("eth_uninstallFilter", json!([logs])), true);
        assert_eq!(client.result("eth_uninstallFilter", json!([logs])), false);
        for method in ["eth_getFilterChanges", "eth_getFilterLogs"] {
            let error = client.error(method, json!([logs]));
            assert_eq!(error, (-32_000, "filter not found".to_owned()));
        }
        assert_eq!(client.error("eth_getFilterLogs", json!([blocks])).0, -32_000);
    }

    #[test]
    fn filters_are_bounded_in_number_and_age() {
        let node = node(&begun(), NodeConfig::default());
        let limits = Limits { filters: 4, ..Limits::default() };
        let client = Client::new(&node.shared(), limits);
        let mut ids: Vec<_> =
            (0..2).map(|_| install(&client, "eth_newBlockFilter", json!([]))).collect();
        // The client has half of the places.
        assert_eq!(client.error("eth_newFilter", json!([{}])).0, -32_005);
        assert_eq!(client.result("eth_uninstallFilter", json!([ids.pop()])), true);
        install(&client, "eth_newBlockFilter", json!([]));
        assert_eq!(client.error("eth_newBlockFilter", json!([])).0, -32_005);
        node.shared().filters.expire(Duration::ZERO);
        let (code, _) = client.error("eth_getFilterChanges", json!([ids.pop()]));
        assert_eq!(code, -32_000);
        install(&client, "eth_newBlockFilter", json!([]));
    }

    #[test]
    fn a_filter_whose_blocks_are_gone_is_gone() {
        let config = NodeConfig { history_blocks: 2, ..NodeConfig::default() };
        let mut node = node(&begun(), config);
        let client = Client::new(&node.shared(), Limits::default());
        let id = install(&client, "eth_newBlockFilter", json!([]));
        (0..3).for_each(|nonce| make(&mut node, nonce));
        assert_eq!(client.error("eth_getFilterChanges", json!([id])).0, -32_000);
        assert_eq!(client.result("eth_uninstallFilter", json!([id])), false);
    }

    #[test]
    fn a_long_answer_comes_in_parts() {
        let mut node = node(&begun(), NodeConfig::default());
        let client = Client::new(&node.shared(), Limits { logs: 2, ..Limits::default() });
        let id = install(&client, "eth_newFilter", json!([{"address": []}]));
        (0..5).for_each(|nonce| make(&mut node, nonce));
        let lengths = [(); 4].map(|()| {
            let logs = client.result("eth_getFilterChanges", json!([id]));
            logs.as_array().map_or(0, Vec::len)
        });
        assert_eq!(lengths, [2, 2, 1, 0]);
    }
}
