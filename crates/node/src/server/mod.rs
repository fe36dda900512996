//! The HTTP server, with limits on the number of connections, on time and on bytes.

use crate::{
    clients::{Client, Clients, Taken},
    clock::now,
    entries,
    error::ServerError,
    http::{self as before, Access, Hosts},
    limits::Limits,
    methods::{Context, module},
    places::Places,
    request_log::Connection,
    secret::Secret,
    shared::Shared,
    socket, subscriptions,
    unread::hold,
};
use braid_chain::Snapshot;
use bytes::Bytes;
use core::num::NonZeroUsize;
use http::{Request, StatusCode};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn as hyper_service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::server::{
    BatchRequestConfig, HttpResponse, Methods, Server as JsonRpc, ServerConfig, ServerHandle,
    StopHandle, TowerService, middleware::rpc::RpcServiceBuilder, stop_channel,
};
use std::{
    convert::Infallible,
    error::Error,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};
use tower::{
    Layer, ServiceExt,
    layer::util::{Identity, Stack},
    service_fn,
};
use tower_http::cors::CorsLayer;

/// Divisor of a request's time. A connection that is idle for the result is closed in favour of a
/// waiting one.
const IDLE_PART: u32 = 20;
/// Time between two looks whether a new block is durable.
const SHOW: Duration = Duration::from_millis(5);
/// The response to a connection that got no place.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1\r\n\
    Connection: close\r\nContent-Length: 21\r\n\r\ntoo many connections\n";

/// Number of threads that read requests and write responses. Calls run on other threads.
const THREADS: usize = 2;

/// A JSON-RPC server over HTTP, which runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
    /// jsonrpsee answers requests as long as the handle exists.
    _handle: ServerHandle,
}

/// The service that answers JSON-RPC requests.
pub(crate) type Calls = TowerService<Stack<Places, Identity>, Identity>;

/// State shared by all connections.
pub(crate) struct Serving<S> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) limits: Limits,
    service: Calls,
    clients: Clients,
    hosts: Hosts,
    /// Origins whose web pages may call.
    pub(crate) origins: Vec<String>,
    secret: Option<Secret>,
    cors: CorsLayer,
    /// Number of connections that got a place so far, for the log.
    connections: AtomicU64,
}

impl Server {
    /// Listens on `address`, and answers from the state that the node shares. The Host header of a
    /// request must name the loopback interface or, if the server listens on another interface, any
    /// IP address or localhost.
    ///
    /// # Errors
    /// The address is in use, or the system has no file descriptors left for the runtime.
    ///
    /// # Panics
    /// The system refused to start the runtime's threads.
    pub fn start<S: Snapshot>(
        address: SocketAddr,
        shared: Arc<Shared<S>>,
        limits: Limits,
    ) -> Result<Self, ServerError> {
        Self::start_with(&Access::default(), address, shared, limits)
    }

    /// Like [`start`](Self::start), for the hosts and origins in `access`.
    ///
    /// # Errors
    /// The address is in use, or the system has no file descriptors left for the runtime.
    ///
    /// # Panics
    /// The system refused to start the runtime's threads.
    pub fn start_with<S: Snapshot>(
        access: &Access,
        address: SocketAddr,
        shared: Arc<Shared<S>>,
        limits: Limits,
    ) -> Result<Self, ServerError> {
        let failed = |error| ServerError::Bind { address, error };
        let listener = StdListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(limits.requests_at_once.max(1))
            .thread_name("braid-rpc")
            .enable_all()
            .build()
            .map_err(ServerError::Runtime)?;
        let (stop, handle) = stop_channel();
        let methods = module(Context { shared: Arc::clone(&shared), limits })
            .map_err(|error| ServerError::Methods(error.to_string()))?;
        shared.usage().methods(methods.method_names().chain(subscriptions::METHODS));
        let service = calls(methods, &limits, stop);
        let is_local = bound.ip().to_canonical().is_loopback();
        let client_parts = if is_local { NonZeroUsize::MIN } else { limits.client_parts };
        let clients = Clients::new(Limits { client_parts, ..limits });
        let hosts = Hosts::new(&access.hosts, is_local);
        let cors = before::cors(&access.origins);
        let origins = access.origins.clone();
        let secret = access.secret.clone();
        let serving = Arc::new(Serving {
            shared,
            limits,
            service,
            clients,
            hosts,
            origins,
            secret,
            cors,
            connections: AtomicU64::new(0),
        });
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(failed)?
        };
        runtime.spawn(show_blocks(Arc::clone(&serving.shared)));
        runtime.spawn(accept(listener, serving));
        Ok(Self { address: bound, runtime: Some(runtime), _handle: handle })
    }

    /// Returns the address on which the server listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait for running calls.
            runtime.shutdown_background();
        }
    }
}

/// Makes the service that answers calls of `methods`.
pub(crate) fn calls(methods: impl Into<Methods>, limits: &Limits, stop: StopHandle) -> Calls {
    let methods = methods.into();
    let config = ServerConfig::builder()
        .http_only()
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .max_connections(u32::try_from(limits.connections).unwrap_or(u32::MAX))
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch))
        .build();
    let builder = JsonRpc::builder().set_config(config).to_service_builder();
    let places = RpcServiceBuilder::new().layer(Places::new(limits, methods.clone()));
    builder.set_rpc_middleware(places).build(methods, stop)
}

/// Shows blocks as they become durable, even if nobody calls: subscribers wait for them.
async fn show_blocks<S: Snapshot>(shared: Arc<Shared<S>>) {
    let mut signal = shared.feed.signal();
    while signal.changed().await.is_ok() {
        while shared.has_unseen() && shared.stopped().is_none() {
            shared.show();
            sleep(SHOW).await;
        }
    }
}

/// Accepts connections. If all places, or all places of the client, are taken, a connection waits.
async fn accept<S: Snapshot>(listener: TcpListener, serving: Arc<Serving<S>>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // The system has no file descriptors left; connections that end free some.
            sleep(serving.limits.time / 100).await;
            continue;
        };
        let client = serving.clients.at(peer.ip());
        if let Some(place) = client.connect() {
            tokio::spawn(connection((stream, peer), Arc::clone(&serving), client, place));
        } else if let Some(queued) = client.queue() {
            tokio::spawn(waiting((stream, peer), Arc::clone(&serving), client, queued));
        } else {
            serving.shared.usage().refused_connection();
            let _ = stream.try_write(BUSY);
        }
    }
}

/// Serves a connection once it has a place, or refuses it.
async fn waiting<S: Snapshot>(
    (mut stream, peer): (TcpStream, SocketAddr),
    serving: Arc<Serving<S>>,
    client: Client,
    queued: Taken,
) {
    let time = serving.limits.time;
    if let Some(place) = client.connect_in(time / 4).await {
        drop(queued);
        return connection((stream, peer), serving, client, place).await;
    }
    serving.shared.usage().refused_connection();
    let refuse = async {
        stream.write_all(BUSY).await?;
        stream.shutdown().await?;
        // A client that is still sending would lose the response if its bytes were not read.
        let mut bytes = [0; 1_024];
        while stream.read(&mut bytes).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    let _ = timeout(time / IDLE_PART, refuse).await;
}

/// Serves the requests of one connection.
async fn connection<S: Snapshot>(
    (stream, peer): (TcpStream, SocketAddr),
    serving: Arc<Serving<S>>,
    client: Client,
    place: Taken,
) {
    let time = serving.limits.time;
    let open = serving.shared.usage().connected();
    // Responses are small, and clients wait for them. If the option cannot be set, the connection
    // still works.
    let _ = stream.set_nodelay(true);
    let idle = Idle::default();
    let number = serving.connections.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    let answer = hyper_service(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Connection { number, peer });
        let (serving, client, busy) = (Arc::clone(&serving), client.clone(), idle.begin());
        async move {
            let (serving, client) = (&serving, &client);
            let answer = service_fn(move |request| async move {
                Ok::<_, Infallible>(answer(serving, client, request).await)
            });
            let answer = serving.cors.layer(answer).oneshot(request).await;
            drop(busy);
            answer
        }
    });
    let mut http = http1::Builder::new();
    // Send responses without copying them: the memory of a copy would not be limited.
    http.timer(TokioTimer::new()).header_read_timeout(time).writev(true);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), answer).with_upgrades());
    // Errors of a connection concern only its client.
    let mut end = pin!(sleep(serving.limits.connection_time));
    let is_done = loop {
        tokio::select! {
            _ = connection.as_mut() => break true,
            () = end.as_mut() => break false,
            () = sleep(time / IDLE_PART) => {
                if client.is_wanted() && idle.lasts(time / IDLE_PART) {
                    break false;
                }
            }
        }
    };
    if !is_done {
        // Close only after the current response: a client that loses the response to a transaction
        // would send it again, and be told that it is already known.
        connection.as_mut().graceful_shutdown();
        let _ = timeout(time, connection).await;
    }
    drop((place, open));
}

/// Time since which a connection is idle; `None` while a request is being answered.
#[derive(Clone)]
struct Idle(Arc<Mutex<Option<Instant>>>);

impl Default for Idle {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }
}

impl Idle {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Begins a request, which ends when the returned value is dropped.
    fn begin(&self) -> Busy {
        self.set(None);
        Busy(self.clone())
    }

    fn lasts(&self, time: Duration) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= time)
    }
}

/// A request that is being answered on a connection.
struct Busy(Idle);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(Some(Instant::now()));
    }
}

async fn answer<S: Snapshot>(
    serving: &Arc<Serving<S>>,
    client: &Client,
    request: Request<Incoming>,
) -> HttpResponse {
    let is_socket = socket::is_asked_for(&request);
    let health = before::health(&serving.shared, request.method(), request.uri().path());
    if let Some(health) = health.filter(|_| !is_socket) {
        return health;
    }
    let headers = request.headers();
    let token = serving.secret.as_ref().map_or(Ok(()), |secret| secret.check(headers, now()));
    let answer = match (serving.hosts.check(headers), token) {
        (Err(why), _) => before::text(StatusCode::FORBIDDEN, why),
        (_, Err(why)) => before::text(StatusCode::UNAUTHORIZED, why),
        _ if is_socket => socket::open(serving, client, request),
        _ => dispatch(serving, client, request).await,
    };
    serving.shared.usage().answered(answer.status().as_u16());
    answer
}

/// Answers a JSON-RPC request.
pub(crate) async fn dispatch<S, B>(
    serving: &Serving<S>,
    client: &Client,
    mut request: Request<B>,
) -> HttpResponse
where
    S: Snapshot,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    request.extensions_mut().insert(serving.shared.usage());
    request.extensions_mut().insert(client.clone());
    let mut service = serving.service.clone();
    let answered = entries::answer(&mut service, serving.limits.request_bytes, request);
    match timeout(serving.limits.time, answered).await {
        Ok(Ok(response)) => hold(client, response).unwrap_or_else(|| {
            before::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many responses wait for their clients to read them\n",
            )
        }),
        Ok(Err(error)) => before::text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        Err(_) => before::text(StatusCode::REQUEST_TIMEOUT, "the request took too long\n"),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
