//! Limits of a node and of its JSON-RPC interface.

use braid_chain::{ChainConfig, pool::PoolConfig};
use core::num::NonZeroUsize;
use std::time::Duration;

/// Configuration of a node.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// Configuration of the chain. `history_blocks` determines which blocks and receipts it keeps,
    /// as does [`Keep::history_bytes`](braid_chain::Keep::history_bytes).
    pub chain: ChainConfig,
    /// Limits of the pool.
    pub pool: PoolConfig,
    /// Maximum number of blocks kept with transactions and receipts, counted from the last one. At
    /// least 1. Default: 4,096.
    pub history_blocks: u64,
    /// Maximum size of blocks and receipts in memory, in bytes; older ones are read from the store.
    /// Default: 256 MiB.
    pub history_bytes: usize,
    /// Number of blocks after which the state can be read, counted from the last one. At least 1.
    /// States before the last one require the chain's undo records
    /// ([`Keep::undo_blocks`](braid_chain::Keep::undo_blocks)), and the headers of their blocks in
    /// the history. Default: 128.
    pub state_blocks: u64,
    /// Maximum size of undo records in memory, in bytes. A state that needs more cannot be read.
    /// Default: 64 MiB.
    pub state_bytes: usize,
    /// Whether clients control the node: they may send transactions of well-known accounts or of
    /// impersonated ones, decide when blocks are made, set the clock, change the state and return
    /// to earlier blocks. For development only. Such a node must run by [`Node::mine`]: clients wait
    /// for it. Default: false.
    ///
    /// [`Node::mine`]: crate::Node::mine
    pub is_dev: bool,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            chain: ChainConfig::default(),
            pool: PoolConfig::default(),
            history_blocks: 4_096,
            history_bytes: 256 << 20,
            state_blocks: 128,
            state_bytes: 64 << 20,
            is_dev: false,
        }
    }
}

/// Limits of the JSON-RPC interface.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum size of a request in bytes. Default: 1 MiB.
    pub request_bytes: u32,
    /// Maximum size of a response in bytes. Default: 32 MiB.
    pub response_bytes: u32,
    /// Maximum total size, in bytes, of responses above 64 KiB that are not sent yet because their
    /// clients do not read them. Further ones are refused (HTTP status 503). Default: 128 MiB.
    pub unread_bytes: usize,
    /// Maximum number of calls in one request. Default: 100.
    pub batch: u32,
    /// Maximum number of open connections. Further ones wait for up to a quarter of `time`, and are
    /// then refused (HTTP status 503). A connection that is idle for a twentieth of `time` is
    /// closed for them. Default: 128.
    pub connections: usize,
    /// Maximum number of connections that wait. Further ones are refused at once. Default: 256.
    pub waiting_connections: usize,
    /// Time for a request's header, which also limits an idle connection; and time for its body and
    /// the response, of which a quarter is for waiting and half is for the calls. A call checks the
    /// time between its steps; one execution in the EVM, or the search of one block, is a step.
    /// Default: 20 seconds.
    pub time: Duration,
    /// Time after which a connection is closed, whatever it does. A response that has begun by then
    /// has another `time` to finish. Default: five minutes.
    pub connection_time: Duration,
    /// Maximum number of requests that run at once; others wait. The calls of one request run in
    /// sequence. A call that has begun keeps its place until it ends, even if its client has
    /// disconnected. Default: 4.
    pub requests_at_once: usize,
    /// Divisor of `connections`, `waiting_connections`, `requests_at_once` and `unread_bytes` that
    /// gives the maximum for one client, rounded up. A client is an IPv4 address or an IPv6 network
    /// of 64 bits. A server on the loopback interface treats all clients as one, without this
    /// limit, as all have the same address there. Default: 2.
    pub client_parts: NonZeroUsize,
    /// Maximum gas of `eth_call`, `eth_estimateGas` and `eth_createAccessList`; never more than the
    /// block's gas limit. Default: 50 million.
    pub call_gas: u64,
    /// Maximum number of logs in one response. Default: 10,000.
    pub logs: usize,
    /// Maximum number of blocks in a response to `eth_feeHistory`. Default: 1,024.
    pub fee_blocks: u64,
    /// Maximum number of installed filters, divided by `client_parts` for one client. Default:
    /// 1,024.
    pub filters: usize,
    /// Time after which a filter is removed if nobody asks for its changes. Default: five minutes.
    pub filter_time: Duration,
    /// Maximum number of open WebSockets, divided by `client_parts` for one client. Default: 64.
    pub sockets: usize,
    /// Maximum number of subscriptions on one WebSocket. Default: 100.
    pub subscriptions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 1 << 20,
            response_bytes: 32 << 20,
            unread_bytes: 128 << 20,
            batch: 100,
            connections: 128,
            waiting_connections: 256,
            time: Duration::from_secs(20),
            connection_time: Duration::from_secs(300),
            requests_at_once: 4,
            client_parts: NonZeroUsize::MIN.saturating_add(1),
            call_gas: 50_000_000,
            logs: 10_000,
            fee_blocks: 1_024,
            filters: 1_024,
            filter_time: Duration::from_secs(300),
            sockets: 64,
            subscriptions: 100,
        }
    }
}
