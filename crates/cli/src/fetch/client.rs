//! JSON-RPC: numbered requests, responses, and retries.

use super::{RpcError, RpcErrorKind};
use braid_terminal::Transport;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{cell::Cell, fmt, thread, time::Duration};

/// Error code for a method that the node does not have.
const METHOD_NOT_FOUND: i64 = -32601;
/// Error codes of nodes and providers for rate limits.
const LIMITED: [i64; 2] = [-32005, 429];

/// How often, and after which pauses, a request is retried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Maximum number of attempts; at least one is made.
    pub attempts: u32,
    /// Pause before the second attempt; each later pause is twice as long.
    pub first_pause: Duration,
    /// Maximum pause.
    pub longest_pause: Duration,
}

impl Default for Patience {
    /// Six attempts within about eight seconds.
    fn default() -> Self {
        Self {
            attempts: 6,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(8),
        }
    }
}

impl Patience {
    /// Returns the pause after this attempt, counted from 1; `None` after the last.
    fn pause_after(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(self.first_pause.saturating_mul(factor).min(self.longest_pause))
    }
}

/// Receives a description of each call.
type Watcher = Box<dyn Fn(&str)>;

/// A client of one node.
pub struct Client<T> {
    transport: T,
    patience: Patience,
    answered: Cell<u64>,
    watcher: Watcher,
}

impl<T: fmt::Debug> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("transport", &self.transport)
            .field("patience", &self.patience)
            .field("answered", &self.answered)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: P,
}

#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<NodeError>,
}

#[derive(Deserialize)]
struct NodeError {
    code: i64,
    #[serde(default)]
    message: String,
}

impl<T: Transport> Client<T> {
    /// Creates a client that uses `transport`.
    pub fn new(transport: T, patience: Patience) -> Self {
        Self { transport, patience, answered: Cell::new(0), watcher: Box::new(|_| {}) }
    }

    /// Passes a description of each call to `watcher` before it is made.
    #[must_use]
    pub fn watched(mut self, watcher: impl Fn(&str) + 'static) -> Self {
        self.watcher = Box::new(watcher);
        self
    }

    /// Returns the number of answered calls.
    pub fn answered(&self) -> u64 {
        self.answered.get()
    }

    /// Returns the node's host.
    pub(super) fn origin(&self) -> &str {
        self.transport.origin()
    }

    /// Calls `method` and parses its result. Transient errors are retried.
    ///
    /// # Errors
    /// Returns an [`RpcError`] with the method's name.
    pub(super) fn call<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize,
    ) -> Result<R, RpcError> {
        (self.watcher)(method);
        let id = self.answered.get();
        let request = Request { jsonrpc: "2.0", id, method, params };
        let failed = |kind| RpcError { method, origin: self.origin().to_owned(), kind };
        let unfit = |error: serde_json::Error| failed(RpcErrorKind::Answer(error.to_string()));
        let request = serde_json::to_vec(&request).map_err(unfit)?;
        let mut attempt = 1;
        loop {
            match self.attempt(id, &request, attempt) {
                Ok(result) => {
                    self.answered.set(id.saturating_add(1));
                    let text = if result.is_empty() { "null" } else { &result };
                    return serde_json::from_str(text).map_err(unfit);
                }
                Err(error) => match self.patience.pause_after(attempt).filter(|_| error.may_pass())
                {
                    Some(pause) => thread::sleep(pause),
                    None => return Err(failed(error)),
                },
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// Sends the request once and returns the text of the result, which is empty for null.
    fn attempt(&self, id: u64, request: &[u8], attempts: u32) -> Result<String, RpcErrorKind> {
        let bytes = self
            .transport
            .exchange(request)
            .map_err(|source| RpcErrorKind::Transport { attempts, source })?;
        let unfit = |error: serde_json::Error| RpcErrorKind::Answer(error.to_string());
        let answer: Answer<'_> = serde_json::from_slice(&bytes).map_err(unfit)?;
        if let Some(NodeError { code, message }) = answer.error {
            return Err(match code {
                METHOD_NOT_FOUND => RpcErrorKind::NotServed { message },
                _ => RpcErrorKind::Node { code, message, limited: LIMITED.contains(&code) },
            });
        }
        if answer.id != Some(id) {
            let why = format!("expected an answer with the id {id}, found a different id");
            return Err(RpcErrorKind::Answer(why));
        }
        Ok(answer.result.map(|result| result.get().to_owned()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let pause = |attempt| Patience { attempts: 40, ..Patience::default() }.pause_after(attempt);
        assert_eq!(pause(1), Some(Duration::from_millis(250)));
        assert_eq!(pause(2), Some(Duration::from_millis(500)));
        assert_eq!(pause(6), Some(Duration::from_secs(8)));
        assert_eq!(pause(39), Some(Duration::from_secs(8)));
        assert_eq!(pause(40), None);
    }
}
