//! Counters of executed blocks for Prometheus: what `--metrics ADDR` serves.

mod server;
mod text;
mod totals;

pub use server::{MetricsAddress, MetricsError, Server};
pub use totals::{Metrics, Watched};
