//! Counters of client requests.

use crate::upstream::{FollowCounts, Upstream};
use braid_chain::pool::{PoolError, PoolHandle, PoolStatus};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

/// Name under which calls of unknown methods are counted.
const UNKNOWN: &str = "unknown";

/// Counters of the requests to a node since it was opened: of its pool, and of its JSON-RPC
/// interface. Any thread may [read](Self::read) them, even after the node has stopped.
#[derive(Clone, Debug)]
pub struct Usage {
    pool: PoolHandle,
    followed: Arc<OnceLock<Arc<Upstream>>>,
    counts: Arc<Mutex<UsageCounts>>,
}

/// Numbers of requests to a node, and current usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageCounts {
    /// Current size of the pool.
    pub pool: PoolStatus,
    /// Number of transactions that the pool has admitted.
    pub admitted: u64,
    /// Number of transactions that the pool has refused, by [reason](PoolError::reason).
    pub refused: BTreeMap<&'static str, u64>,
    /// Number of calls by method, counting each call of a batch; `unknown` counts methods that do
    /// not exist.
    pub calls: BTreeMap<&'static str, u64>,
    /// Number of requests refused because all places were taken (-32005).
    pub busy: u64,
    /// Number of HTTP responses by status, without `/healthz` and `/readyz`.
    pub answers: BTreeMap<u16, u64>,
    /// Number of open connections.
    pub connections: u64,
    /// Number of connections that were refused because there were too many.
    pub refused_connections: u64,
    /// How far the node has come if it follows another one.
    pub follow: Option<FollowCounts>,
}

impl Usage {
    pub(crate) fn new(pool: PoolHandle) -> Self {
        let refused = PoolError::REASONS.iter().map(|reason| (*reason, 0)).collect();
        let (calls, answers) = ([(UNKNOWN, 0)].into(), [(200, 0), (503, 0)].into());
        let counts = UsageCounts { refused, calls, answers, ..UsageCounts::default() };
        Self { pool, followed: Arc::default(), counts: Arc::new(Mutex::new(counts)) }
    }

    /// Returns the current counts.
    #[must_use]
    pub fn read(&self) -> UsageCounts {
        let follow = self.followed.get().map(|upstream| upstream.counts());
        UsageCounts { pool: self.pool.status(), follow, ..self.lock().clone() }
    }

    fn lock(&self) -> MutexGuard<'_, UsageCounts> {
        // A poisoned lock is usable: the counts are consistent after each statement.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the counters of a follower.
    pub(crate) fn follows(&self, upstream: Arc<Upstream>) {
        self.followed.get_or_init(|| upstream);
    }

    /// Adds counters for the methods with these names.
    pub(crate) fn methods(&self, names: impl Iterator<Item = &'static str>) {
        let mut counts = self.lock();
        for name in names {
            counts.calls.entry(name).or_default();
        }
    }

    /// Counts a call.
    pub(crate) fn call(&self, method: &str) {
        let calls = &mut self.lock().calls;
        let name = if calls.contains_key(method) { method } else { UNKNOWN };
        if let Some(count) = calls.get_mut(name) {
            add(count);
        }
    }

    /// Counts a request that got no place.
    pub(crate) fn busy(&self) {
        add(&mut self.lock().busy);
    }

    /// Counts a transaction that the pool admitted.
    pub(crate) fn admitted(&self) {
        add(&mut self.lock().admitted);
    }

    /// Counts a transaction that the pool refused.
    pub(crate) fn refused(&self, why: &PoolError) {
        add(self.lock().refused.entry(why.reason()).or_default());
    }

    /// Counts a response.
    pub(crate) fn answered(&self, status: u16) {
        add(self.lock().answers.entry(status).or_default());
    }

    /// Counts a refused connection.
    pub(crate) fn refused_connection(&self) {
        add(&mut self.lock().refused_connections);
    }

    /// Counts a connection as open until the returned value is dropped.
    pub(crate) fn connected(&self) -> Connected {
        add(&mut self.lock().connections);
        Connected(self.clone())
    }
}

fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connected(Usage);

impl Drop for Connected {
    fn drop(&mut self) {
        let connections = &mut self.0.lock().connections;
        *connections = connections.saturating_sub(1);
    }
}
