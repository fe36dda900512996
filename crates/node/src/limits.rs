//! Limits of a node and of its interface.

use braid_chain::{ChainConfig, pool::PoolConfig};
use core::num::NonZeroUsize;
use std::time::Duration;

/// Choices of a node.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// Choices of its chain. What it keeps of blocks and receipts follows from `history_blocks`.
    pub chain: ChainConfig,
    /// Limits of its pool.
    pub pool: PoolConfig,
    /// Blocks that are kept with transactions and receipts, in the store and in memory, at most and
    /// counted from the last one; at least 1. Default: 4,096.
    pub history_blocks: u64,
    /// Bytes of blocks and receipts in memory at most: older ones are forgotten. Default: 256 MiB.
    pub history_bytes: usize,
    /// Blocks after which the state can be read, counted from the last one; at least 1. Those before the
    /// last one need the chain's undo records ([`Keep::undo_blocks`](braid_chain::Keep::undo_blocks)), and
    /// their headers in the history. Default: 32.
    pub state_blocks: u64,
    /// Bytes of undo records in memory at most. A state that takes more cannot be read. Default: 64 MiB.
    pub state_bytes: usize,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            chain: ChainConfig::default(),
            pool: PoolConfig::default(),
            history_blocks: 4_096,
            history_bytes: 256 << 20,
            state_blocks: 32,
            state_bytes: 64 << 20,
        }
    }
}

/// Limits of the interface.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request. Default: 1 MiB.
    pub request_bytes: u32,
    /// Bytes of an answer. Default: 32 MiB.
    pub response_bytes: u32,
    /// Bytes of all answers above 64 KiB that are not sent yet, as their clients do not read them.
    /// Further ones are refused (HTTP status 503). Default: 128 MiB.
    pub unread_bytes: usize,
    /// Calls in one request. Default: 100.
    pub batch: u32,
    /// Open connections. Further ones wait for a quarter of `time`, and are refused then (HTTP status 503).
    /// One that has been idle for a twentieth of `time` gives way to them. Default: 128.
    pub connections: usize,
    /// Connections that wait for a place at most. Further ones are refused at once. Default: 256.
    pub waiting_connections: usize,
    /// Time for a request's header, which is also that of an idle connection; and for its body and the
    /// answer: a quarter of it for waiting, half of it for the calls. A call looks at the clock
    /// between its steps, and one run of the EVM, or one block that is searched, is a step.
    /// Default: 20 seconds.
    pub time: Duration,
    /// Time after which a connection is closed, whatever it does. An answer that has begun then has
    /// `time` to end. Default: five minutes.
    pub connection_time: Duration,
    /// Requests that are worked on at a time, each of them one call after the other; others wait. A
    /// call that has begun keeps the place until it ends, also if its client has gone. Default: 4.
    pub requests_at_once: usize,
    /// A client takes one of this many parts of `connections`, `waiting_connections`, `requests_at_once` and
    /// `unread_bytes` at most, rounded up.
    /// A client is an IPv4 address or an IPv6 network of 64 bits. A server on the loopback interface
    /// takes all for one client, which has all: there each has the same address. Default: 2.
    pub client_parts: NonZeroUsize,
    /// Gas of `eth_call`, `eth_estimateGas` and `eth_createAccessList`. Default: 50 million; never more than a block has.
    pub call_gas: u64,
    /// Logs in one answer. Default: 10,000.
    pub logs: usize,
    /// Blocks that `eth_feeHistory` tells of. Default: 1,024.
    pub fee_blocks: u64,
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
        }
    }
}
