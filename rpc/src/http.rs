//! What comes before JSON-RPC: which host a request names, and whether the node is well.

use crate::shared::Shared;
use braid_chain::Snapshot;
use http::{HeaderMap, Method, StatusCode, header::HOST};
use jsonrpsee::server::{HttpBody, HttpResponse};
use std::net::IpAddr;

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, words: &str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(words.to_owned()));
    *response.status_mut() = status;
    response
}

/// Whether a request names this machine's loopback interface as its host. A page in a browser on this
/// machine could have its own name point to it, and name that.
pub(crate) fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    let name = name.map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The answer to a program that watches over this one: `/healthz` says whether the process answers,
/// `/readyz` whether it makes blocks.
pub(crate) fn health<S: Snapshot>(
    shared: &Shared<S>,
    method: &Method,
    path: &str,
) -> Option<HttpResponse> {
    match (method, path) {
        (&Method::GET, "/healthz") => Some(text(StatusCode::OK, "ok\n")),
        (&Method::GET, "/readyz") => Some(match shared.stopped() {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_names_of_the_loopback_interface_are_local() {
        let of = |host: &'static str| {
            is_local(&HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]))
        };
        for host in [
            "localhost",
            "LocalHost:8545",
            "127.0.0.1:1",
            "127.0.0.2:8545",
            "[::1]:8545",
            "[::1]",
            "[::ffff:127.0.0.1]:8545",
        ] {
            assert!(of(host), "{host}");
        }
        for host in [
            "",
            "10.0.0.1:8545",
            "evil.example",
            "localhost.evil.example:8545",
            "127.0.0.1.evil:80",
        ] {
            assert!(!of(host), "{host}");
        }
        assert!(!is_local(&HeaderMap::new()));
    }
}
