//! A node that makes its own blocks, and its JSON-RPC interface.
//!
//! A [`Node`] owns a [`Chain`](braid_chain::Chain) and a [`Pool`](braid_chain::pool::Pool), and
//! makes blocks from the transactions in the pool. A [`Server`] answers wallets and test tools over
//! HTTP. It reads the states after the [last blocks](NodeConfig::state_blocks), and earlier blocks
//! from the [history](NodeConfig::history_blocks).
//!
//! ```no_run
//! use braid_chain::EmbeddedStore;
//! use braid_node::{Limits, Node, NodeConfig, Server};
//!
//! let store = EmbeddedStore::open("chain/state".as_ref())?;
//! let mut node = Node::open(store, NodeConfig::default())?;
//! let server = Server::start(([127, 0, 0, 1], 8545).into(), node.shared(), Limits::default())?;
//! println!("http://{}", server.address());
//! let (_stop, stopped) = crossbeam_channel::bounded(0);
//! node.run(std::time::Duration::from_secs(1), &stopped, &mut ())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This package also contains the tool `braid-node`: see `docs/NODE.md` and `docs/CHAIN.md`. The
//! modules of the tool are public only for its tests.
//!
//! # Stability
//!
//! The items on this page follow Semantic Versioning. They expose types of `braid-chain`,
//! `braid-evm` and crossbeam-channel, so a new major version of one of those crates is a new major
//! version of this crate. Methods and fields of the JSON-RPC interface follow Ethereum's execution
//! APIs; any release may add more of them.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

// First, because its macro is used below.
#[macro_use]
#[doc(hidden)]
pub mod mutants;

mod access_list;
mod accounts;
mod blocks;
mod call;
#[doc(hidden)]
pub mod chain_input;
mod checkpoint;
mod clients;
mod clock;
#[doc(hidden)]
pub mod commands;
#[cfg(test)]
mod conformance;
mod dev;
mod entries;
mod error;
mod estimate;
mod feed;
mod fees;
mod filters;
mod follow;
mod header;
mod history;
mod http;
mod kzg;
mod limits;
mod logs;
mod methods;
#[doc(hidden)]
pub mod metrics;
mod node;
mod overrides;
mod params;
mod past;
mod places;
mod pool_file;
mod read_blocks;
mod receipts;
mod replay;
mod request_log;
mod restart;
mod secret;
mod send;
mod server;
mod shared;
#[cfg(test)]
mod soak;
mod socket;
mod stored;
mod subscriptions;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
#[doc(hidden)]
pub mod top;
mod unread;
mod upstream;
mod usage;
mod words;

pub use error::{NodeError, ServerError};
pub use follow::FollowError;
pub use http::Access;
pub use limits::{Limits, NodeConfig};
pub use node::{Follower, Mined, Mining, Node, Observer};
pub use secret::Secret;
pub use server::Server;
pub use shared::Shared;
pub use upstream::{FollowCounts, Upstream, UrlError};
pub use usage::{Usage, UsageCounts};
