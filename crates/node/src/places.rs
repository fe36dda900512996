//! Limits on requests: only a few run at once, and each for a limited time.

use crate::{
    clients::{Client, Taken},
    error::RpcError,
    limits::Limits,
    request_log::Logged,
    usage::Usage,
};
use jsonrpsee::server::middleware::rpc::{
    Batch, BatchEntry, BatchEntryErr, MethodResponse, Notification, Request, RpcServiceT,
};
use jsonrpsee::{
    core::server::BatchResponseBuilder,
    server::Methods,
    types::{ErrorObjectOwned, Id, error::METHOD_NOT_FOUND_CODE},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tower::Layer;

/// Assigns places to requests. Each client has a limited number of places.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// How long a request waits for a place; `work` is how long its calls may take.
    wait: Duration,
    work: Duration,
    methods: Methods,
    /// Maximum size of a response, in bytes.
    response_bytes: usize,
}

/// The place of one request. Each call of the request has a clone, so the place is free again only
/// when the last call has ended, even if the client has disconnected.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    deadline: Instant,
    work: Duration,
    client: Client,
    _taken: Arc<Taken>,
}

impl Places {
    /// Reserves a quarter of a request's time for waiting, and half of it for work; the rest is for
    /// reading its body.
    pub(crate) fn new(limits: &Limits, methods: Methods) -> Self {
        let response_bytes = usize::try_from(limits.response_bytes).unwrap_or(usize::MAX);
        Self { wait: limits.time / 4, work: limits.time / 2, methods, response_bytes }
    }

    /// Returns the error for a call of `method` if there is no such method. Clients look for geth's
    /// words in it.
    fn unknown(&self, method: &str) -> Option<ErrorObjectOwned> {
        let error = || {
            let words = format!("the method {method} does not exist/is not available");
            ErrorObjectOwned::owned(METHOD_NOT_FOUND_CODE, words, None::<()>)
        };
        self.methods.method(method).is_none().then(error)
    }

    /// Waits for a place; fails if none is free in time. A client that disconnects stops waiting.
    pub(crate) async fn take(&self, client: &Client) -> Result<Place, RpcError> {
        let taken = client.request(self.wait).await.ok_or(RpcError::Busy)?;
        let now = Instant::now();
        let deadline = now.checked_add(self.work).unwrap_or(now);
        let (client, taken) = (client.clone(), Arc::new(taken));
        Ok(Place { deadline, work: self.work, client, _taken: taken })
    }
}

impl Place {
    /// Takes a place for a filter of the same client, if one is free.
    pub(crate) fn filter(&self) -> Option<Taken> {
        self.client.filter()
    }

    /// Checks the deadline. Called by a call between its steps.
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

/// Returns the response to a request that got no place, and counts the request.
fn busy(usage: Option<&Usage>, id: Id<'_>, error: RpcError) -> MethodResponse {
    if let Some(usage) = usage {
        usage.busy();
    }
    MethodResponse::error(id, error)
}

/// Removes the request's place from a response, which can be sent without it.
fn done(mut answer: MethodResponse) -> MethodResponse {
    answer.extensions_mut().remove::<Place>();
    answer
}

/// Gives each request a place before it passes the request to `inner`.
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
            let usage = request.extensions().get::<Usage>().cloned();
            if let Some(usage) = &usage {
                usage.call(request.method_name());
            }
            let (method, id) = (request.method_name(), &request.id);
            let logged = Logged::begin(method, Some(id), request.extensions());
            let answer = if let Some(error) = places.unknown(request.method_name()) {
                MethodResponse::error(request.id, error)
            } else if let Some(client) = request.extensions().get::<Client>().cloned() {
                match places.take(&client).await {
                    Ok(place) => {
                        request.extensions_mut().insert(place);
                        done(inner.call(request).await)
                    }
                    Err(error) => busy(usage.as_ref(), request.id, error),
                }
            } else {
                // A method without a place returns an error.
                inner.call(request).await
            };
            end(logged, &answer);
            answer
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { places, inner } = self.clone();
        async move {
            let usage = batch.extensions().get::<Usage>().cloned();
            for entry in batch.iter_mut() {
                let Ok(BatchEntry::Call(request)) = entry else { continue };
                if let Some(usage) = &usage {
                    usage.call(request.method_name());
                }
                if let Some(error) = places.unknown(request.method_name()) {
                    let (method, id) = (request.method_name(), &request.id);
                    if let Some(logged) = Logged::begin(method, Some(id), request.extensions()) {
                        logged.answered(Some(error.code()));
                    }
                    *entry = Err(BatchEntryErr::new(request.id.clone(), error));
                }
            }
            let Some(client) = batch.extensions().get::<Client>().cloned() else {
                // No entry is a call.
                return inner.batch(batch).await;
            };
            match places.take(&client).await {
                Ok(place) => {
                    for entry in batch.iter_mut().flatten() {
                        entry.extensions_mut().insert(place.clone());
                    }
                    done(each(&inner, places.response_bytes, batch).await)
                }
                Err(error) => {
                    let answer = busy(usage.as_ref(), Id::Null, error);
                    batch.iter().flatten().for_each(|entry| end(begin(entry), &answer));
                    answer
                }
            }
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let logged = Logged::begin(&notification.method, None, &notification.extensions);
        let answered = self.inner.notification(notification);
        async move {
            let answer = answered.await;
            end(logged, &answer);
            answer
        }
    }
}

/// Begins to log an entry of a batch.
fn begin(entry: &BatchEntry<'_>) -> Option<Logged> {
    let id = match entry {
        BatchEntry::Call(request) => Some(&request.id),
        BatchEntry::Notification(_) => None,
    };
    Logged::begin(entry.method_name(), id, entry.extensions())
}

/// Logs that a call has this response.
fn end(logged: Option<Logged>, answer: &MethodResponse) {
    if let Some(logged) = logged {
        logged.answered(answer.as_error_code());
    }
}

/// Answers the entries of a batch one after the other with at most `limit` bytes, as jsonrpsee
/// does, and logs each.
async fn each<S>(inner: &S, limit: usize, batch: Batch<'_>) -> MethodResponse
where
    S: RpcServiceT<MethodResponse = MethodResponse, NotificationResponse = MethodResponse> + Sync,
{
    let mut answers = BatchResponseBuilder::new_with_limit(limit);
    let mut has_notifications = false;
    for entry in batch {
        let logged = entry.as_ref().ok().and_then(begin);
        let answer = match entry {
            Ok(BatchEntry::Call(request)) => inner.call(request).await,
            Ok(BatchEntry::Notification(notification)) => {
                has_notifications = true;
                end(logged, &inner.notification(notification).await);
                continue;
            }
            Err(refused) => {
                let (error, id) = refused.into_parts();
                MethodResponse::error(id, error)
            }
        };
        end(logged, &answer);
        if let Err(too_large) = answers.append(answer) {
            return too_large;
        }
    }
    match answers.is_empty() && has_notifications {
        true => MethodResponse::notification(),
        // A batch without entries is an error.
        false => MethodResponse::from_batch(answers.finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        NodeConfig,
        clients::Clients,
        estimate::estimate,
        logs::logs,
        methods::{Context, add, module},
        params::environment,
        testing::{Client as TestClient, begun, node},
    };
    use alloy_eips::BlockId;
    use alloy_rpc_types_eth::{Filter, TransactionRequest};
    use serde_json::{Value, json};
    use std::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::time::timeout;

    /// `test_wait` waits for this lock, and counts how often it has begun.
    static GATE: Mutex<()> = Mutex::new(());
    static BEGUN: AtomicUsize = AtomicUsize::new(0);

    fn limits(time: Duration) -> Limits {
        Limits { time, requests_at_once: 1, ..Limits::default() }
    }

    /// Makes a client whose server also has the method `test_wait`.
    fn waiting(limits: Limits) -> TestClient {
        let node = node(&begun(), NodeConfig::default());
        let (shared, usage) = (node.shared(), node.shared().usage());
        let mut methods = module(Context { shared, limits }).expect("methods");
        add(&mut methods, "test_wait", |_, _| {
            BEGUN.fetch_add(1, Ordering::SeqCst);
            drop(GATE.lock());
            Ok(true)
        })
        .expect("a new name");
        TestClient::with(methods, limits, usage)
    }

    /// Makes `test_wait` block until the returned guard is dropped. Tests that do so run one after
    /// the other.
    fn closed() -> MutexGuard<'static, ()> {
        let closed = GATE.lock().expect("no panic");
        BEGUN.store(0, Ordering::SeqCst);
        closed
    }

    fn call(method: &str) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": method})
    }

    /// Clients disconnect again and again: only one call has begun, and it keeps the only place.
    #[test]
    fn a_call_keeps_its_place_until_it_ends() {
        let client = waiting(limits(Duration::from_secs(2)));
        let closed = closed();
        for _ in 0..20 {
            let call = client.call("test_wait", json!([]));
            let moment = Duration::from_millis(20);
            let gave_up = client.runtime.block_on(async { timeout(moment, call).await });
            gave_up.expect_err("the gate is closed");
        }
        let (code, message) = client.error("eth_chainId", json!([]));
        assert_eq!(code, -32_005, "{message}");
        let batch = json!([call("eth_chainId")]);
        let answer = client.runtime.block_on(client.send(batch));
        assert_eq!(answer["error"]["code"], -32_005, "{answer}");
        assert_eq!(BEGUN.load(Ordering::SeqCst), 1);
        // None of the disconnected clients was told that the server is busy.
        let counts = client.usage.read();
        assert_eq!(
            (counts.busy, counts.calls["eth_chainId"], counts.calls["test_wait"]),
            (2, 2, 20)
        );
        drop(closed);
        assert_eq!(client.result("eth_chainId", json!([])), "0x7");
    }

    /// A client that sends as many requests as it can gets half of the places.
    #[test]
    fn a_client_leaves_places_for_others() {
        let limits = Limits { requests_at_once: 4, ..limits(Duration::from_secs(2)) };
        let client = waiting(limits);
        let closed = closed();
        let wait = || client.send(call("test_wait"));
        let asked = async { tokio::join!(wait(), wait(), wait()) };
        let moment = Duration::from_millis(200);
        let gave_up = client.runtime.block_on(async { timeout(moment, asked).await });
        gave_up.expect_err("the gate is closed");
        assert_eq!(BEGUN.load(Ordering::SeqCst), 2);
        for body in [call("eth_chainId"), json!([call("eth_chainId")])] {
            let answer = client.runtime.block_on(client.send_from(2, body.clone()));
            let answer = answer.get(0).unwrap_or(&answer);
            assert_eq!(answer["result"], "0x7", "{answer}");
            let answer = client.runtime.block_on(client.send(body));
            assert_eq!(answer["error"]["code"], -32_005, "{answer}");
        }
        drop(closed);
        assert_eq!(client.result("eth_chainId", json!([])), "0x7");
    }

    /// Clients look for these words to find out whether there is a method.
    #[test]
    fn unknown_methods_are_named() {
        let client = waiting(limits(Duration::from_secs(2)));
        let words = "the method eth_mistake does not exist/is not available";
        let closed = closed();
        let wait = client.send(call("test_wait"));
        let moment = Duration::from_millis(200);
        let gave_up = client.runtime.block_on(async { timeout(moment, wait).await });
        gave_up.expect_err("the gate is closed");
        // The error needs no place.
        assert_eq!(client.error("eth_mistake", json!([])), (-32_601, words.to_owned()));
        drop(closed);
        let batch = json!([call("eth_mistake"), call("eth_chainId")]);
        let answers = client.runtime.block_on(client.send(batch));
        assert_eq!(answers[0]["error"]["message"], words, "{answers}");
        assert_eq!((&answers[0]["id"], &answers[1]["result"]), (&json!(1), &json!("0x7")));
    }

    #[test]
    fn calls_end_when_their_time_has_passed() {
        let mut node = node(&begun(), NodeConfig::default());
        let shared = node.shared();
        let places = Places::new(&limits(Duration::ZERO), Methods::new());
        let client = TestClient::new(&shared, limits(Duration::ZERO));
        let asks = Clients::new(limits(Duration::ZERO)).at([10, 0, 0, 1].into());
        let place = client.runtime.block_on(places.take(&asks)).expect("a place is free");
        let at = environment(&shared, BlockId::pending()).expect("the next block");
        let estimated = estimate(&at, &TransactionRequest::default(), 100_000, &place);
        assert!(matches!(estimated, Err(RpcError::Late(_))), "{estimated:?}");
        let found = logs(&shared, &place, 10, &Filter::new());
        assert!(matches!(found, Err(RpcError::Late(_))), "{found:?}");
        assert_eq!(client.error("eth_blockNumber", json!([])).0, -32_002);
        assert!(node.step(0).expect("works").is_none());
    }
}
