//! Checks before JSON-RPC: the Host header of a request, its origin, and health checks.

use crate::{secret::Secret, shared::Shared};
use braid_chain::Snapshot;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN},
};
use jsonrpsee::server::{HttpBody, HttpResponse};
use std::{net::IpAddr, time::Duration};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Makes a response in plain text.
pub(crate) fn text(status: StatusCode, words: &str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(words.to_owned()));
    *response.status_mut() = status;
    response
}

/// Who may call a server.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Access {
    /// Additional names that the Host header of a request may have; `*` for any. The names of the
    /// loopback interface are always allowed, and IP addresses if the server listens on another
    /// interface.
    pub hosts: Vec<String>,
    /// Origins whose web pages may call (CORS), such as `http://localhost:5173`; `*` for any.
    pub origins: Vec<String>,
    /// Secret that clients must know: each request, or the one that opens a WebSocket, needs a
    /// token (JWT, HS256) in its header `Authorization: Bearer`. Health checks need none.
    pub secret: Option<Secret>,
}

/// Returns the layer that answers a browser's questions whether a web page may call.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let allowed = match is_any(origins) {
        true => AllowOrigin::any(),
        // What is not a header value is no browser's origin.
        false => AllowOrigin::list(origins.iter().filter_map(|it| HeaderValue::from_str(it).ok())),
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([CONTENT_TYPE, AUTHORIZATION])
        .allow_private_network(true)
        .max_age(PREFLIGHT)
}

/// Time for which a browser need not ask again.
const PREFLIGHT: Duration = Duration::from_secs(600);

fn is_any(names: &[String]) -> bool {
    names.iter().any(|name| name == "*")
}

/// Whether a request comes from no web page, or from one of these `origins`. Browsers ask before
/// they send JSON to another origin, but not before they open a WebSocket.
pub(crate) fn is_origin_allowed(origins: &[String], headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    is_any(origins) || origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
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
                Err("the Host header must name localhost or a host allowed with --rpc-hosts\n")
            }
            false => Err("the Host header must name an IP address, localhost, or a host allowed \
                 with --rpc-hosts\n"),
        }
    }
}

/// Answers a health check: `/` and `/healthz` say whether the process responds, `/readyz` whether the node
/// makes blocks or, if it follows another node, has caught up. Returns `None` for other requests.
pub(crate) fn health<S: Snapshot>(
    shared: &Shared<S>,
    method: &Method,
    path: &str,
) -> Option<HttpResponse> {
    match (method, path) {
        (&Method::GET | &Method::HEAD, "/" | "/healthz") => Some(text(StatusCode::OK, "ok\n")),
        (&Method::GET, "/readyz") => {
            let behind = |(head, highest)| format!("at block {head} of {highest}");
            Some(match shared.stopped().or_else(|| shared.behind().map(behind)) {
                None => text(StatusCode::OK, "ready\n"),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
