//! Metrics while a chain runs: `--metrics ADDR`.

use super::{Stop, message};
use crate::metrics::{
    Begun, Metrics, MetricsAddress, Server, StoreTimes, Watched, WatchedChain, WatchedStore,
    WorkerClock,
};
use braid_chain::{Chain, EmbeddedStore};
use braid_evm::BlockOutput;
use std::{
    io::{self, Write},
    sync::Arc,
};

/// A chain whose store is watched.
pub(super) type RunChain = Chain<WatchedStore<EmbeddedStore>>;

/// What is counted while the command runs.
pub(super) struct Watch {
    metrics: Arc<Metrics>,
    clock: WorkerClock,
    store: EmbeddedStore,
}

impl Watch {
    /// Starts to serve metrics, and says where.
    pub(super) fn start(
        address: MetricsAddress,
        (chain, store, times, workers): (&RunChain, EmbeddedStore, Arc<StoreTimes>, u16),
    ) -> Result<Self, Stop> {
        let (head, durable) = (chain.head().number, chain.durable_head());
        let metrics = Arc::new(Metrics::of(WatchedChain { head, durable, times, workers }));
        let server = Server::start(address, Arc::clone(&metrics)).map_err(message)?;
        writeln!(io::stderr(), "metrics: http://{}/metrics", server.address())?;
        Ok(Self { metrics, clock: WorkerClock::new(workers), store })
    }

    /// A block begins.
    pub(super) fn begin(&mut self) -> Begun {
        self.clock.begin()
    }

    /// The block with this number has ended.
    pub(super) fn end(&self, begun: Begun, number: u64, output: &BlockOutput) {
        let (took, cache) = (self.clock.end(begun), self.store.cache_use());
        self.metrics.block(Watched { output, took, number, cache });
    }
}
