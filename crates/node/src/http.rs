//! Checks before JSON-RPC: the Host header of a request, and health checks.

use crate::shared::Shared;
use braid_chain::Snapshot;
use http::{HeaderMap, Method, StatusCode, header::HOST};
use jsonrpsee::server::{HttpBody, HttpResponse};
use std::net::IpAddr;

/// Makes a response in plain text.
pub(crate) fn text(status: StatusCode, words: &str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(words.to_owned()));
    *response.status_mut() = status;
    response
}

/// Host names that requests may use. A website can make its own domain name resolve to a node that
/// the browser can reach; its requests then carry that name. So names are refused unless they are
/// known.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    names: Vec<String>,
    /// Whether the server listens only on the loopback interface.
    is_local: bool,
}

impl Hosts {
    pub(crate) fn new(names: &[String], is_local: bool) -> Self {
        Self { names: names.to_vec(), is_local }
    }

    /// Checks the Host header of a request.
    ///
    /// # Errors
    /// Returns the message with the permitted hosts.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let name = name.map_or(host, |(name, _)| name);
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        // No website has an IP address as its domain name.
        let is_address =
            address.is_ok_and(|address| !self.is_local || address.to_canonical().is_loopback());
        let is_named =
            |known: &String| known == "*" || (!name.is_empty() && name.eq_ignore_ascii_case(known));
        match name.eq_ignore_ascii_case("localhost")
            || is_address
            || self.names.iter().any(is_named)
        {
            true => Ok(()),
            false if self.is_local => {
                Err("the Host header must name localhost, or a host that the node was told of\n")
            }
            false => Err("the Host header must name an IP address, localhost, or a host that the \
                 node was told of\n"),
        }
    }
}

/// Answers a health check: `/healthz` says whether the process responds, `/readyz` whether the node
/// makes blocks. Returns `None` for other requests.
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
        let of = |host: &'static str| may(&[], true, host);
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
        assert!(Hosts::new(&[], true).check(&HeaderMap::new()).is_err());
    }

    fn may(names: &[&str], is_local: bool, host: &'static str) -> bool {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
        Hosts::new(&names, is_local).check(&headers).is_ok()
    }

    #[test]
    fn elsewhere_addresses_are_hosts_and_names_are_not() {
        for host in ["10.0.0.1:8545", "0.0.0.0:80", "[2001:db8::1]:8545", "localhost", "127.0.0.1"]
        {
            assert!(may(&[], false, host), "{host}");
        }
        for host in ["evil.example", "evil.example:8545", "10.0.0.1.evil.example", "", ":8545"] {
            assert!(!may(&[], false, host), "{host}");
        }
    }

    #[test]
    fn hosts_that_the_node_was_told_of_may_be_named() {
        for is_local in [true, false] {
            let of = |host| may(&["node.example", "braid-rpc"], is_local, host);
            for host in ["node.example", "NODE.example:8545", "braid-rpc:1", "localhost"] {
                assert!(of(host), "{host}");
            }
            for host in ["evil.example", "a.node.example", "node.example.evil", "*", ""] {
                assert!(!of(host), "{host}");
            }
            assert!(may(&["*"], is_local, "evil.example"));
        }
    }
}
