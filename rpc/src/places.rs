//! Which requests are worked on: a few at a time, and each for a limited time.

use crate::{error::RpcError, limits::Limits};
use jsonrpsee::server::middleware::rpc::{
    Batch, MethodResponse, Notification, Request, RpcServiceT,
};
use jsonrpsee::types::Id;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tower::Layer;

/// Places of requests that are worked on. Further requests wait for one of them.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// How long a request waits for a place, and how long its calls may take.
    wait: Duration,
    work: Duration,
}

/// The place of one request. The calls of the request have clones, so the place comes free only
/// when the last of them has ended, whether its client waits or not.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    deadline: Instant,
    work: Duration,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Places {
    /// A quarter of a request's time is for waiting, half of it for work: the rest is for reading its body.
    pub(crate) fn new(limits: &Limits) -> Self {
        let free = Arc::new(Semaphore::new(limits.requests_at_once.max(1)));
        Self { free, wait: limits.time / 4, work: limits.time / 2 }
    }

    /// A place, or an error if none comes free in time. A client that gives up waits no longer.
    pub(crate) async fn take(self) -> Result<Place, RpcError> {
        match timeout(self.wait, self.free.acquire_owned()).await {
            Ok(Ok(permit)) => {
                let now = Instant::now();
                let deadline = now.checked_add(self.work).unwrap_or(now);
                Ok(Place { deadline, work: self.work, _permit: Arc::new(permit) })
            }
            // Nothing closes the semaphore.
            Ok(Err(_)) | Err(_) => Err(RpcError::Busy),
        }
    }
}

impl Place {
    /// What a call asks between its steps.
    ///
    /// # Errors
    /// The request has taken too long.
    pub(crate) fn check(&self) -> Result<(), RpcError> {
        match Instant::now() < self.deadline {
            true => Ok(()),
            false => Err(RpcError::Late(self.work)),
        }
    }
}

impl<S> Layer<S> for Places {
    type Service = Placed<S>;

    fn layer(&self, inner: S) -> Placed<S> {
        Placed { places: self.clone(), inner }
    }
}

/// An answer without its request's place, which sending it does not need.
fn done(mut answer: MethodResponse) -> MethodResponse {
    answer.extensions_mut().remove::<Place>();
    answer
}

/// Gives each request a place before `inner` sees it.
#[derive(Clone, Debug)]
pub(crate) struct Placed<S> {
    places: Places,
    inner: S,
}

impl<S> RpcServiceT for Placed<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type BatchResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(
        &self,
        mut request: Request<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { places, inner } = self.clone();
        async move {
            match places.take().await {
                Ok(place) => {
                    request.extensions_mut().insert(place);
                    done(inner.call(request).await)
                }
                Err(busy) => MethodResponse::error(request.id, busy),
            }
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { places, inner } = self.clone();
        async move {
            match places.take().await {
                Ok(place) => {
                    for entry in batch.iter_mut().flatten() {
                        entry.extensions_mut().insert(place.clone());
                    }
                    done(inner.batch(batch).await)
                }
                Err(busy) => MethodResponse::error(Id::Null, busy),
            }
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        NodeConfig,
        estimate::estimate,
        logs::logs,
        methods::{Context, add, module},
        testing::{Client, begun, node},
    };
    use alloy_rpc_types_eth::{Filter, TransactionRequest};
    use serde_json::json;
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    /// What `test_wait` waits for, and how often it has begun.
    static GATE: Mutex<()> = Mutex::new(());
    static BEGUN: AtomicUsize = AtomicUsize::new(0);

    fn limits(time: Duration) -> Limits {
        Limits { time, requests_at_once: 1, ..Limits::default() }
    }

    /// Clients give up again and again: only one call is there, and it keeps the only place.
    #[test]
    fn a_call_keeps_its_place_until_it_ends() {
        let (node, limits) =
            (node(&begun(), NodeConfig::default()), limits(Duration::from_secs(2)));
        let mut methods = module(Context { shared: node.shared(), limits }).expect("methods");
        add(&mut methods, "test_wait", |_, _| {
            BEGUN.fetch_add(1, Ordering::SeqCst);
            drop(GATE.lock());
            Ok(true)
        })
        .expect("a new name");
        let client = Client::with(methods, limits);
        let closed = GATE.lock().expect("no panic");
        for _ in 0..20 {
            let call = client.call("test_wait", json!([]));
            let moment = Duration::from_millis(20);
            let gave_up = client.runtime.block_on(async { timeout(moment, call).await });
            gave_up.expect_err("the gate is closed");
        }
        let (code, message) = client.error("eth_chainId", json!([]));
        assert_eq!(code, -32_005, "{message}");
        let batch = json!([{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}]);
        let answer = client.runtime.block_on(client.send(batch));
        assert_eq!(answer["error"]["code"], -32_005, "{answer}");
        assert_eq!(BEGUN.load(Ordering::SeqCst), 1);
        drop(closed);
        assert_eq!(client.result("eth_chainId", json!([])), "0x7");
        assert_eq!(BEGUN.load(Ordering::SeqCst), 1, "a client that has gone is waited for");
    }

    #[test]
    fn calls_end_when_their_time_has_passed() {
        let mut node = node(&begun(), NodeConfig::default());
        let shared = node.shared();
        let places = Places::new(&limits(Duration::ZERO));
        let client = Client::new(&shared, limits(Duration::ZERO));
        let place = client.runtime.block_on(places.take()).expect("a place is free");
        let view = shared.view();
        let estimated = estimate(&view, &TransactionRequest::default(), 100_000, &place);
        assert!(matches!(estimated, Err(RpcError::Late(_))), "{estimated:?}");
        let found = logs(&shared, &place, 10, &Filter::new());
        assert!(matches!(found, Err(RpcError::Late(_))), "{found:?}");
        assert_eq!(client.error("eth_blockNumber", json!([])).0, -32_002);
        assert!(node.step(0).expect("works").is_none());
    }
}
