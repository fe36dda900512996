//! What clients ask a node for, counted.

use braid_chain::pool::{PoolError, PoolHandle, PoolStatus};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The name under which calls of unknown methods are counted.
const UNKNOWN: &str = "unknown";

/// Counts what is asked of a node since it was opened: its pool, and its JSON-RPC interface. Any thread may
/// [read](Self::read) it, also once the node has stopped.
#[derive(Clone, Debug)]
pub struct Usage {
    pool: PoolHandle,
    counts: Arc<Mutex<UsageCounts>>,
}

/// What was asked of a node, and what is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageCounts {
    /// What the pool holds.
    pub pool: PoolStatus,
    /// Transactions that the pool has taken.
    pub admitted: u64,
    /// Transactions that it has not, by [reason](PoolError::reason).
    pub refused: BTreeMap<&'static str, u64>,
    /// Calls by method, those of a batch one by one; `unknown` for methods that there are not.
    pub calls: BTreeMap<&'static str, u64>,
    /// Requests that were refused because all places were taken (-32005).
    pub busy: u64,
    /// HTTP answers by status, without those of `/healthz` and `/readyz`.
    pub answers: BTreeMap<u16, u64>,
    /// Open connections.
    pub connections: u64,
    /// Connections that were refused, as there were too many.
    pub refused_connections: u64,
}

impl Usage {
    pub(crate) fn new(pool: PoolHandle) -> Self {
        let refused = PoolError::REASONS.iter().map(|reason| (*reason, 0)).collect();
        let (calls, answers) = ([(UNKNOWN, 0)].into(), [(200, 0), (503, 0)].into());
        let counts = UsageCounts { refused, calls, answers, ..UsageCounts::default() };
        Self { pool, counts: Arc::new(Mutex::new(counts)) }
    }

    /// The counts now.
    #[must_use]
    pub fn read(&self) -> UsageCounts {
        UsageCounts { pool: self.pool.status(), ..self.lock().clone() }
    }

    fn lock(&self) -> MutexGuard<'_, UsageCounts> {
        // Counts are whole after each statement.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These methods are answered.
    pub(crate) fn methods(&self, names: impl Iterator<Item = &'static str>) {
        let mut counts = self.lock();
        for name in names {
            counts.calls.entry(name).or_default();
        }
    }

    /// A call came.
    pub(crate) fn call(&self, method: &str) {
        let calls = &mut self.lock().calls;
        let name = if calls.contains_key(method) { method } else { UNKNOWN };
        if let Some(count) = calls.get_mut(name) {
            add(count);
        }
    }

    /// A request found no place.
    pub(crate) fn busy(&self) {
        add(&mut self.lock().busy);
    }

    /// The pool took a transaction.
    pub(crate) fn admitted(&self) {
        add(&mut self.lock().admitted);
    }

    /// The pool did not take a transaction.
    pub(crate) fn refused(&self, why: &PoolError) {
        add(self.lock().refused.entry(why.reason()).or_default());
    }

    /// A request was answered.
    pub(crate) fn answered(&self, status: u16) {
        add(self.lock().answers.entry(status).or_default());
    }

    /// A connection was refused.
    pub(crate) fn refused_connection(&self) {
        add(&mut self.lock().refused_connections);
    }

    /// A connection is open for as long as this is there.
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
