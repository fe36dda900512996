//! Counters of executed blocks for Prometheus, served by `--metrics ADDR`.

mod histogram;
mod process;
mod server;
mod store;
mod text;
mod totals;
mod usage;

pub use process::{Begun, Took, WorkerClock};
pub use server::{MetricsAddress, MetricsError, Server};
pub use store::{StoreTimes, WatchedSnapshot, WatchedStore};
pub use totals::{Metrics, NotReady, Watched, WatchedChain};
