//! Options for who may call a server, and how much.

use super::parse::{count_from, time_from};
use crate::{Access, Limits, Secret, request_log::TARGET};
use braid_terminal::{Stop, message};
use clap::Args;
use core::num::NonZeroUsize;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tracing::Level;
use tracing_subscriber::{
    Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Who may call, and the limits on calls. Options that are not given leave the command's defaults.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "JSON-RPC")]
pub(super) struct LimitArgs {
    /// Additional host names to accept in the Host header; * for any. Loopback names are always accepted, and IP
    /// addresses if the server listens on another interface
    #[arg(long, value_name = "HOST,...", value_delimiter = ',')]
    rpc_hosts: Vec<String>,
    /// Origins whose web pages may send requests, such as http://localhost:5173; * for any [default: none; of dev: any]
    #[arg(long, value_name = "ORIGIN,...", value_delimiter = ',')]
    cors: Option<Vec<String>>,
    /// File with a secret of 64 hexadecimal digits; requests must carry a token signed with it (JWT, HS256)
    #[arg(long, value_name = "FILE")]
    rpc_secret: Option<PathBuf>,
    /// Print a line for each call to standard error: method, kind of id, connection, client, time in microseconds, and
    /// the code of an error
    #[arg(long)]
    rpc_log: bool,
    /// Maximum size of a request in bytes [default: 1 MiB; of dev: 16 MiB]
    #[arg(long, value_name = "BYTES")]
    rpc_request_bytes: Option<u32>,
    /// Maximum size of a response in bytes [default: 32 MiB]
    #[arg(long, value_name = "BYTES")]
    rpc_response_bytes: Option<u32>,
    /// Maximum size of all long responses that clients have not read yet, in bytes [default: 128 MiB]
    #[arg(long, value_name = "BYTES")]
    rpc_unread_bytes: Option<usize>,
    /// Maximum number of calls in a batch [default: 100; of dev: 1000]
    #[arg(long, value_name = "N")]
    rpc_batch: Option<u32>,
    /// Maximum number of open connections; idle ones are closed for new ones [default: 128; of dev: 1024]
    #[arg(long, value_name = "N", value_parser = count_from)]
    rpc_connections: Option<usize>,
    /// Maximum number of connections that wait for another one to end [default: 256]
    #[arg(long, value_name = "N")]
    rpc_waiting: Option<usize>,
    /// Maximum number of concurrent requests [default: 4; of dev: 64]
    #[arg(long, value_name = "N", value_parser = count_from)]
    rpc_requests: Option<usize>,
    /// Share of the connections and requests that one client may use: one Nth. Clients on the loopback interface
    /// count as one client, which is not limited [default: 2]
    #[arg(long, value_name = "N")]
    rpc_client_parts: Option<NonZeroUsize>,
    /// Maximum time for a request and its response [default: 20s; of dev: 60s]
    #[arg(long, value_name = "TIME", value_parser = time_from)]
    rpc_time: Option<Duration>,
    /// Time after which a connection is closed [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = time_from)]
    rpc_connection_time: Option<Duration>,
    /// Maximum gas of a call [default: 50000000]
    #[arg(long, value_name = "GAS")]
    rpc_call_gas: Option<u64>,
    /// Maximum number of logs in a response [default: 10000]
    #[arg(long, value_name = "N", value_parser = count_from)]
    rpc_logs: Option<usize>,
    /// Maximum number of blocks in a response to eth_feeHistory [default: 1024]
    #[arg(long, value_name = "N")]
    rpc_fee_blocks: Option<u64>,
    /// Maximum number of installed filters [default: 1024]
    #[arg(long, value_name = "N", value_parser = count_from)]
    rpc_filters: Option<usize>,
    /// Time after which an unused filter is removed [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = time_from)]
    rpc_filter_time: Option<Duration>,
    /// Maximum number of open WebSockets [default: 64; of dev: 256]
    #[arg(long, value_name = "N")]
    rpc_sockets: Option<usize>,
    /// Maximum number of subscriptions on one WebSocket [default: 100]
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

    /// Begins to print calls to standard error, if that was asked for.
    pub(super) fn start_log(&self) {
        if self.rpc_log {
            let only = Targets::new().with_target(TARGET, Level::INFO);
            let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
            // Fails only if there is a log already, which is never the case in the tool.
            let _ = tracing_subscriber::registry().with(lines.with_filter(only)).try_init();
        }
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
