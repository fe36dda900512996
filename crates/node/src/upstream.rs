//! Another node, whose chain a follower copies.

use alloy_primitives::{Address, B256, Bytes, U64};
use braid_terminal::{Http, Transport, TransportError};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use thiserror::Error;

/// Time limit of a request for a block.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time limit of a client's request that is forwarded: it occupies a place of the server.
const FORWARDING: Duration = Duration::from_secs(5);

/// JSON-RPC's code for a method that does not exist.
const NO_METHOD: i32 = -32_601;

/// The method that returns a block in RLP.
const RAW_BLOCK: &str = "debug_getRawBlock";

/// JSON-RPC's code for a failure of the server.
const FAILED: i32 = -32_603;

/// Reason why a request to another node has no usable answer.
#[derive(Clone, Debug, Error)]
pub(crate) enum UpstreamError {
    /// There is no response.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The node answers with an error.
    #[error("{message}")]
    Refused {
        /// Code of the error.
        code: i32,
        /// The node's message.
        message: String,
        /// Additional data.
        data: Option<Value>,
    },
    /// The answer is not of the expected form.
    #[error("its answer to {method} cannot be read: {why}")]
    Malformed {
        /// The method.
        method: &'static str,
        /// Description of the fault.
        why: String,
    },
}

impl UpstreamError {
    /// Returns the code of the error for a client whose request was forwarded.
    pub(crate) const fn code(&self) -> i32 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Transport(_) | Self::Malformed { .. } => FAILED,
        }
    }

    /// Returns the additional data of the node's error.
    pub(crate) fn data(self) -> Option<Value> {
        match self {
            Self::Refused { data, .. } => data,
            Self::Transport(_) | Self::Malformed { .. } => None,
        }
    }

    /// Returns whether a retry may succeed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Transport(error) => error.may_pass(),
            Self::Refused { code, .. } => *code != NO_METHOD,
            Self::Malformed { .. } => false,
        }
    }
}

/// A URL at which no node can be asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UrlError(String);

/// The JSON-RPC interface of another node.
#[derive(Debug)]
pub struct Upstream {
    http: Http,
    /// For requests of clients.
    forwarding: Http,
    /// Number of the last block that the node is known to have.
    head: AtomicU64,
    /// Number of the last block that was copied.
    copied: AtomicU64,
    /// Number of blocks that were unwound because the node has others.
    unwound: AtomicU64,
    /// Whether the node answered the last question.
    is_answering: AtomicBool,
}

/// How far a follower has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowCounts {
    /// Number of blocks that the followed node is known to have, and this one has not.
    pub behind: u64,
    /// Number of blocks that were unwound because the followed node has others.
    pub unwound: u64,
    /// Whether the followed node answered the last question.
    pub is_answering: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    error: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    code: i32,
    message: String,
    data: Option<Value>,
}

impl Upstream {
    /// Creates a client of the node at `url`. No request is made.
    ///
    /// # Errors
    /// The URL is not HTTP or HTTPS; or it is HTTPS, and the build lacks the feature `https`.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        let client =
            |patience| Http::new(url, patience).map_err(|error| UrlError(error.to_string()));
        let (http, forwarding) = (client(PATIENCE)?, client(FORWARDING)?);
        let (head, copied, unwound) = Default::default();
        Ok(Self { http, forwarding, head, copied, unwound, is_answering: AtomicBool::new(false) })
    }

    /// Returns scheme and host of the URL, without anything that may be secret.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.http.origin()
    }

    /// Returns the number of the last block that the node was seen to have; 0 before its first
    /// answer.
    pub(crate) fn known_head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    /// Returns how far the follower has come.
    pub(crate) fn counts(&self) -> FollowCounts {
        FollowCounts {
            behind: self.known_head().saturating_sub(self.copied.load(Ordering::Relaxed)),
            unwound: self.unwound.load(Ordering::Relaxed),
            is_answering: self.is_answering.load(Ordering::Relaxed),
        }
    }

    /// Records the number of the last block that was copied.
    pub(crate) fn set_copied(&self, number: u64) {
        self.copied.store(number, Ordering::Relaxed);
    }

    /// Records that blocks were unwound.
    pub(crate) fn add_unwound(&self, blocks: u64) {
        self.unwound.fetch_add(blocks, Ordering::Relaxed);
    }

    pub(crate) fn set_answering(&self, is_answering: bool) {
        self.is_answering.store(is_answering, Ordering::Relaxed);
    }

    /// Asks for the number of the last block.
    pub(crate) fn head(&self) -> Result<u64, UpstreamError> {
        let head: U64 = self.call("eth_blockNumber", &json!([]))?;
        self.head.store(head.to(), Ordering::Relaxed);
        Ok(head.to())
    }

    pub(crate) fn chain_id(&self) -> Result<u64, UpstreamError> {
        self.call::<U64>("eth_chainId", &json!([])).map(|id| id.to())
    }

    /// Returns the hash of a block; `None` if the node does not have the block.
    pub(crate) fn hash(&self, number: u64) -> Result<Option<B256>, UpstreamError> {
        #[derive(Deserialize)]
        struct Block {
            hash: B256,
        }
        let params = json!([U64::from(number), false]);
        let block: Option<Block> = self.call("eth_getBlockByNumber", &params)?;
        Ok(block.map(|block| block.hash))
    }

    /// Returns a block in RLP.
    pub(crate) fn block(&self, number: u64) -> Result<Bytes, UpstreamError> {
        self.call(RAW_BLOCK, &json!([U64::from(number)]))
    }

    /// Sends a signed transaction and returns its hash.
    pub(crate) fn send(&self, raw: &Bytes) -> Result<B256, UpstreamError> {
        call(&self.forwarding, "eth_sendRawTransaction", &json!([raw]))
    }

    /// Returns the nonce of the next transaction of a sender, after those in the node's pool.
    pub(crate) fn pending_nonce(&self, sender: Address) -> Result<u64, UpstreamError> {
        let params = json!([sender, "pending"]);
        call::<U64>(&self.forwarding, "eth_getTransactionCount", &params).map(|nonce| nonce.to())
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<T, UpstreamError> {
        call(&self.http, method, params)
    }
}

fn call<T: DeserializeOwned>(
    http: &Http,
    method: &'static str,
    params: &Value,
) -> Result<T, UpstreamError> {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = http.exchange(request.to_string().as_bytes())?;
    let malformed =
        |error: serde_json::Error| UpstreamError::Malformed { method, why: error.to_string() };
    let Answer { result, error } = serde_json::from_slice(&answer).map_err(malformed)?;
    if let Some(Refused { code, message, data }) = error {
        let message = match code {
            NO_METHOD if method == RAW_BLOCK => {
                format!("{message}; geth has the method with --http.api eth,debug")
            }
            _ => message,
        };
        return Err(UpstreamError::Refused { code, message, data });
    }
    serde_json::from_value(result).map_err(malformed)
}
