//! Carries bytes to the node and back.

use core::fmt;
use std::{io, time::Duration};
use thiserror::Error;
use ureq::Agent;

/// Maximum size of a response; a trace of a full block has some tens of MiB.
pub const MAX_ANSWER_BYTES: u64 = 1 << 30;

/// Carries a JSON-RPC request to a node and returns the response.
pub trait Transport {
    /// Sends one request and returns the bytes of the response.
    ///
    /// # Errors
    /// Returns a [`TransportError`] if there is no response.
    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, TransportError>;

    /// Returns the node's host, without secrets.
    fn origin(&self) -> &str;
}

/// Why there was no response.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The exchange timed out.
    #[error("no answer in time")]
    TimedOut,
    /// The node could not be reached, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// The server responded with this HTTP status.
    #[error("HTTP status {0}")]
    Status(u16),
    /// Retrying would not help: for example, a bad URL or an invalid certificate.
    #[error("{0}")]
    Unusable(String),
}

impl TransportError {
    /// Returns whether a retry may succeed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::TimedOut | Self::Unreachable(_) => true,
            Self::Status(status) => *status == 408 || *status == 429 || *status >= 500,
            Self::Unusable(_) => false,
        }
    }
}

/// JSON-RPC over HTTP or HTTPS.
pub struct Http {
    agent: Agent,
    url: String,
    origin: String,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may contain an API key.
        f.debug_struct("Http").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Http {
    /// Creates a transport to the node at `url` with a `timeout` for each exchange.
    ///
    /// # Errors
    /// Returns [`TransportError::Unusable`] for a URL that is not HTTP or HTTPS, and for HTTPS in a
    /// build without the feature `https`.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, TransportError> {
        let origin = origin(url).ok_or_else(|| {
            let why = "expected a URL like http://127.0.0.1:8545 or https://host/path";
            TransportError::Unusable(why.to_owned())
        })?;
        if cfg!(not(feature = "https")) && origin.starts_with("https:") {
            let why = "this build has no HTTPS: build it with `--features https`, or name a node on \
                       http://";
            return Err(TransportError::Unusable(why.to_owned()));
        }
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .user_agent(concat!("braid/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.into(), url: url.to_owned(), origin })
    }
}

impl Transport for Http {
    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, TransportError> {
        let post = self.agent.post(&self.url).header("content-type", "application/json");
        let mut answer = post.send(request).map_err(sorted)?;
        let status = answer.status().as_u16();
        if !answer.status().is_success() {
            return Err(TransportError::Status(status));
        }
        answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(sorted)
    }

    fn origin(&self) -> &str {
        &self.origin
    }
}

/// Returns scheme and host of `url`: paths, queries and user names may contain API keys.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !["http", "https"].contains(&scheme) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then(|| format!("{scheme}://{host}"))
}

fn sorted(error: ureq::Error) -> TransportError {
    match error {
        ureq::Error::Timeout(_) => TransportError::TimedOut,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            TransportError::TimedOut
        }
        ureq::Error::Io(error) => TransportError::Unreachable(error.to_string()),
        ureq::Error::ConnectionFailed => {
            TransportError::Unreachable("the connection failed".to_owned())
        }
        ureq::Error::HostNotFound => TransportError::Unusable("no such host".to_owned()),
        ureq::Error::BadUri(_) => TransportError::Unusable("the URL cannot be used".to_owned()),
        // Protocol and TLS errors; none of their messages contains the URL.
        other => TransportError::Unusable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_url_has_no_secrets() {
        for (url, shown) in [
            ("http://127.0.0.1:8545", Some("http://127.0.0.1:8545")),
            ("https://node.example/v2/SECRET", Some("https://node.example")),
            ("https://name:SECRET@node.example:1/?key=SECRET", Some("https://node.example:1")),
            ("ws://node.example", None),
            ("node.example:8545", None),
            ("http:///path", None),
        ] {
            assert_eq!(origin(url).as_deref(), shown, "{url}");
        }
        let http = Http::new("http://x/SECRET", Duration::from_secs(1)).expect("a URL");
        assert!(!format!("{http:?}").contains("SECRET"));
        let error = Http::new("ws://x/SECRET", Duration::from_secs(1)).expect_err("no HTTP");
        assert!(!error.to_string().contains("SECRET"));
    }

    #[cfg(not(feature = "https"))]
    #[test]
    fn https_is_refused_with_what_to_do_about_it() {
        let error = Http::new("https://node.example/SECRET", Duration::from_secs(1));
        let error = error.expect_err("no TLS in this build").to_string();
        assert!(error.contains("--features https") && !error.contains("SECRET"), "{error}");
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        for (error, again) in [
            (TransportError::TimedOut, true),
            (TransportError::Status(429), true),
            (TransportError::Status(502), true),
            (TransportError::Status(401), false),
            (TransportError::Unusable(String::new()), false),
        ] {
            assert_eq!(error.may_pass(), again, "{error}");
        }
    }
}
