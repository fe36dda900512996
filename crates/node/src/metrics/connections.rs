//! Open connections of the metrics server.

use std::{
    collections::VecDeque,
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Maximum number of open connections. One more closes the oldest: a scrape or a probe takes only a
/// moment, so the oldest connections belong to clients that send no request.
pub(super) const MOST: usize = 64;

/// Open connections, oldest first.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<VecDeque<Arc<TcpStream>>>);

/// A connection that counts as open until it is dropped.
#[derive(Debug)]
pub(super) struct Open {
    stream: Arc<TcpStream>,
    all: Arc<Connections>,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<TcpStream>>> {
        // A poisoned lock is usable: the list is consistent after each statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection.
    pub(super) fn open(self: &Arc<Self>, stream: TcpStream) -> Open {
        let stream = Arc::new(stream);
        let mut all = self.lock();
        all.push_back(Arc::clone(&stream));
        if all.len() > MOST
            && let Some(oldest) = all.pop_front()
        {
            // The connection's thread gets an error, and ends.
            let _ = oldest.shutdown(Shutdown::Both);
        }
        drop(all);
        Open { stream, all: Arc::clone(self) }
    }
}

impl Open {
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.all.lock().retain(|other| !Arc::ptr_eq(other, &self.stream));
    }
}
