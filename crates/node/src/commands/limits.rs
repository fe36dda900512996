//! Options for who may call a server, and how much.

use super::parse::{count_from, time_from};
use crate::{Access, Limits, Secret};
use braid_terminal::{Stop, message};
use clap::Args;
use core::num::NonZeroUsize;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Who may call, and the limits on calls. Options that are not given leave the command's defaults.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "JSON-RPC")]
pub(super) struct LimitArgs {
    /// Additional names that the Host header of a request may have; * for any. The names of the loopback interface
    /// are always allowed, and IP addresses if the server listens on another interface
    #[arg(long, value_name = "HOST,...", value_delimiter = ',')]
    rpc_hosts: Vec<String>,
    /// Origins whose web pages may call, such as http://localhost:5173; * for any [default: none; of dev: any]
    #[arg(long, value_name = "ORIGIN,...", value_delimiter = ',')]
    cors: Option<Vec<String>>,
    /// File with a secret of 64 hexadecimal digits: requests then need a token that is made with it (JWT, HS256)
    #[arg(long, value_name = "FILE")]
    rpc_secret: Option<PathBuf>,
    /// Bytes of a request at most [default: 1 MiB; of dev: 16 MiB]
    #[arg(long, value_name = "BYTES")]
    rpc_request_bytes: Option<u32>,
    /// Bytes of a response at most [default: 32 MiB]
    #[arg(long, value_name = "BYTES")]
    rpc_response_bytes: Option<u32>,
    /// Bytes of long responses, at most, that clients have not read yet [default: 128 MiB]
    #[arg(long, value_name = "BYTES")]
    rpc_unread_bytes: Option<usize>,
    /// Calls in one request at most [default: 100; of dev: 1000]
    #[arg(long, value_name = "N")]
    rpc_batch: Option<u32>,
    /// Open connections at most; idle ones give way to new ones [default: 128; of dev: 1024]
    #[arg(long, value_name = "N", value_parser = count_from)]
    rpc_connections: Option<usize>,
    /// Connections that wait for another one to end, at most [default: 256]
    #[arg(long, value_name = "N")]
    rpc_waiting: Option<usize>,
    /// Requests that are worked on at the same time [default: 4; of dev: 64]
    #[arg(long, value_name = "N", value_parser = count_from)]
    rpc_requests: Option<usize>,
    /// Part of the connections and requests that one client may take: one Nth. On the loopback interface all clients
    /// are one, which may take all [default: 2]
    #[arg(long, value_name = "N")]
    rpc_client_parts: Option<NonZeroUsize>,
    /// Time for a request and its response [default: 20s; of dev: 60s]
    #[arg(long, value_name = "TIME", value_parser = time_from)]
    rpc_time: Option<Duration>,
    /// Time after which a connection is closed [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = time_from)]
    rpc_connection_time: Option<Duration>,
    /// Gas of a call at most [default: 50000000]
    #[arg(long, value_name = "GAS")]
    rpc_call_gas: Option<u64>,
    /// Logs in a response at most [default: 10000]
    #[arg(long, value_name = "N", value_parser = count_from)]
    rpc_logs: Option<usize>,
    /// Blocks in a response to eth_feeHistory at most [default: 1024]
    #[arg(long, value_name = "N")]
    rpc_fee_blocks: Option<u64>,
    /// Installed filters at most [default: 1024]
    #[arg(long, value_name = "N", value_parser = count_from)]
    rpc_filters: Option<usize>,
    /// Time after which a filter that nobody uses is removed [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = time_from)]
    rpc_filter_time: Option<Duration>,
    /// Open WebSockets at most [default: 64; of dev: 256]
    #[arg(long, value_name = "N")]
    rpc_sockets: Option<usize>,
    /// Subscriptions on one WebSocket at most [default: 100]
    #[arg(long, value_name = "N")]
    rpc_subscriptions: Option<usize>,
}

impl LimitArgs {
    /// Returns the access rules; `origins` apply if `--cors` is not given. Fails if the file has no
    /// secret.
    pub(super) fn access(&self, origins: &[&str]) -> Result<Access, Stop> {
        let default = || origins.iter().map(|it| (*it).to_owned()).collect();
        Ok(Access {
            hosts: self.rpc_hosts.clone(),
            origins: self.cors.clone().unwrap_or_else(default),
            secret: self.rpc_secret.as_deref().map(secret).transpose()?,
        })
    }

    /// Returns `limits` with the options that were given.
    pub(super) fn limits(&self, limits: Limits) -> Limits {
        Limits {
            request_bytes: self.rpc_request_bytes.unwrap_or(limits.request_bytes),
            response_bytes: self.rpc_response_bytes.unwrap_or(limits.response_bytes),
            unread_bytes: self.rpc_unread_bytes.unwrap_or(limits.unread_bytes),
            batch: self.rpc_batch.unwrap_or(limits.batch),
            connections: self.rpc_connections.unwrap_or(limits.connections),
            waiting_connections: self.rpc_waiting.unwrap_or(limits.waiting_connections),
            requests_at_once: self.rpc_requests.unwrap_or(limits.requests_at_once),
            client_parts: self.rpc_client_parts.unwrap_or(limits.client_parts),
            time: self.rpc_time.unwrap_or(limits.time),
            connection_time: self.rpc_connection_time.unwrap_or(limits.connection_time),
            call_gas: self.rpc_call_gas.unwrap_or(limits.call_gas),
            logs: self.rpc_logs.unwrap_or(limits.logs),
            fee_blocks: self.rpc_fee_blocks.unwrap_or(limits.fee_blocks),
            filters: self.rpc_filters.unwrap_or(limits.filters),
            filter_time: self.rpc_filter_time.unwrap_or(limits.filter_time),
            sockets: self.rpc_sockets.unwrap_or(limits.sockets),
            subscriptions: self.rpc_subscriptions.unwrap_or(limits.subscriptions),
        }
    }
}

/// Reads a secret from a file.
fn secret(file: &Path) -> Result<Secret, Stop> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| message(format!("{name}: {error}")))?;
    let missing =
        || message(format!("{name} holds no 64 hexadecimal digits: openssl rand -hex 32 > {name}"));
    Secret::parse(&text).ok_or_else(missing)
}
