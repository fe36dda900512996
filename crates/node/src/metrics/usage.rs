//! Metrics of client requests, for a chain that makes its own blocks.

use super::text::Text;
use crate::{FollowCounts, UsageCounts};

/// Writes the counters of the pool and of the JSON-RPC interface.
pub(super) fn usage(text: &mut Text, counts: &UsageCounts) {
    pool(text, counts);
    if let Some(counts) = &counts.follow {
        follow(text, counts);
    }
    let name = "braid_rpc_calls_total";
    text.family(name, "counter", "Calls by method; calls of a batch count separately.");
    for (method, count) in &counts.calls {
        text.sample(name, &[("method", method)], *count);
    }
    let name = "braid_rpc_answers_total";
    text.family(name, "counter", "HTTP responses by status, without health checks.");
    for (status, count) in &counts.answers {
        text.sample(name, &[("status", &status.to_string())], *count);
    }
    for (name, kind, help, value) in [
        (
            "braid_rpc_busy_total",
            "counter",
            "Requests that were refused because too many were running.",
            counts.busy,
        ),
        ("braid_rpc_connections", "gauge", "Open connections.", counts.connections),
        (
            "braid_rpc_refused_connections_total",
            "counter",
            "Connections that were refused because too many were open.",
            counts.refused_connections,
        ),
    ] {
        text.family(name, kind, help);
        text.sample(name, &[], value);
    }
}

fn follow(text: &mut Text, counts: &FollowCounts) {
    for (name, kind, help, value) in [
        (
            "braid_follow_blocks_behind",
            "gauge",
            "Blocks that the followed node has and this one has not executed.",
            counts.behind,
        ),
        (
            "braid_follow_unwound_blocks_total",
            "counter",
            "Blocks that were unwound because the followed node has others.",
            counts.unwound,
        ),
        (
            "braid_follow_answers",
            "gauge",
            "1 if the followed node answered the last question, 0 otherwise.",
            u64::from(counts.is_answering),
        ),
    ] {
        text.family(name, kind, help);
        text.sample(name, &[], value);
    }
}

fn pool(text: &mut Text, counts: &UsageCounts) {
    let status = counts.pool;
    for (name, help, value) in [
        ("braid_pool_transactions", "Transactions in the pool.", status.transactions),
        (
            "braid_pool_bytes",
            "Memory that the transactions in the pool count for, in bytes.",
            status.bytes,
        ),
        ("braid_pool_senders", "Senders with transactions in the pool.", status.senders),
        (
            "braid_pool_ready_senders",
            "Senders whose next transaction can go into the next block.",
            status.ready,
        ),
    ] {
        text.family(name, "gauge", help);
        text.sample(name, &[], value);
    }
    let name = "braid_pool_admitted_total";
    text.family(name, "counter", "Transactions that the pool has admitted.");
    text.sample(name, &[], counts.admitted);
    let name = "braid_pool_refused_total";
    text.family(name, "counter", "Transactions that the pool has refused, by reason.");
    for (reason, count) in &counts.refused {
        text.sample(name, &[("reason", reason)], *count);
    }
}
