//! Metrics of a running chain: `--metrics ADDR`.

use crate::Usage;
use crate::metrics::{
    Begun, Metrics, MetricsAddress, Server, StoreTimes, Watched, WatchedChain, WatchedStore,
    WorkerClock,
};
use braid_chain::{Chain, EmbeddedStore};
use braid_evm::BlockOutput;
use braid_terminal::{Stop, message};
use std::{
    io::{self, Write},
    sync::Arc,
};

/// A chain whose store is measured.
pub(super) type RunChain = Chain<WatchedStore<EmbeddedStore>>;

/// Counters that are served from the start of the command, before its chain is open.
pub(super) struct Served {
    metrics: Arc<Metrics>,
    server: Server,
    times: Arc<StoreTimes>,
}

impl Served {
    /// Starts the server.
    pub(super) fn start(address: MetricsAddress) -> Result<Self, Stop> {
        let metrics = Arc::<Metrics>::default();
        let server = Server::start(address, Arc::clone(&metrics)).map_err(message)?;
        Ok(Self { metrics, server, times: Arc::default() })
    }

    /// Returns the record for the store's times.
    pub(super) fn times(&self) -> Arc<StoreTimes> {
        Arc::clone(&self.times)
    }
}

/// Counts blocks while the command runs.
pub(super) struct Watch {
    metrics: Arc<Metrics>,
    clock: WorkerClock,
    store: EmbeddedStore,
}

impl Watch {
    /// Adds the open chain to the counters, and prints the URL at which they are served.
    pub(super) fn start(
        served: Served,
        (chain, store, workers): (&RunChain, EmbeddedStore, u16),
    ) -> Result<Self, Stop> {
        let Served { metrics, server, times } = served;
        let (head, durable) = (chain.head().number, chain.durable_head());
        metrics.open(WatchedChain { head, durable, times, workers });
        writeln!(io::stderr(), "metrics: http://{}/metrics", server.address())?;
        Ok(Self { metrics, clock: WorkerClock::new(workers), store })
    }

    /// Adds the counters of client requests.
    pub(super) fn serves(&self, usage: Usage) {
        self.metrics.serve(usage);
    }

    /// Starts measuring a block.
    pub(super) fn begin(&mut self) -> Begun {
        self.clock.begin()
    }

    /// Counts the block with this number.
    pub(super) fn end(&self, begun: Begun, number: u64, output: &BlockOutput) {
        let (took, cache) = (self.clock.end(begun), self.store.cache_use());
        self.metrics.block(Watched { output, took, number, cache });
    }
}
