//! HTTP: connections with limits on number, time and bytes.

use crate::{
    clients::{Client, Clients, Taken},
    error::ServerError,
    http as before,
    limits::Limits,
    methods::{Context, module},
    places::Places,
    shared::Shared,
    unread::hold,
};
use braid_chain::Snapshot;
use core::num::NonZeroUsize;
use http::{Request, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::server::{
    BatchRequestConfig, HttpResponse, Methods, Server as JsonRpc, ServerConfig, ServerHandle,
    StopHandle, TowerService, middleware::rpc::RpcServiceBuilder, stop_channel,
};
use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener as StdListener},
    pin::pin,
    sync::Arc,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};
use tower::{
    Service,
    layer::util::{Identity, Stack},
};

/// Threads that read requests and write answers. What calls do runs on others.
const THREADS: usize = 2;

/// Serves JSON-RPC over HTTP until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
    /// While it is there, jsonrpsee answers.
    _handle: ServerHandle,
}

/// Answers JSON-RPC.
pub(crate) type Calls = TowerService<Stack<Places, Identity>, Identity>;

/// What every connection shares.
struct Serving<S> {
    shared: Arc<Shared<S>>,
    limits: Limits,
    service: Calls,
    clients: Clients,
    /// Whether only requests that name the loopback interface are answered.
    is_local: bool,
}

impl Server {
    /// Listens on `address`, and answers from what the node shares.
    ///
    /// # Errors
    /// The address is taken, or the system has no more files for the runtime.
    ///
    /// # Panics
    /// The system refused to start the runtime's threads.
    pub fn start<S: Snapshot>(
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
        shared.usage().methods(methods.method_names());
        let service = calls(methods, &limits, stop);
        let is_local = bound.ip().to_canonical().is_loopback();
        let client_parts = if is_local { NonZeroUsize::MIN } else { limits.client_parts };
        let clients = Clients::new(Limits { client_parts, ..limits });
        let serving = Arc::new(Serving { shared, limits, service, clients, is_local });
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(failed)?
        };
        runtime.spawn(accept(listener, serving));
        Ok(Self { address: bound, runtime: Some(runtime), _handle: handle })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A call that runs is not waited for.
            runtime.shutdown_background();
        }
    }
}

/// Answers calls of `methods`.
pub(crate) fn calls(methods: impl Into<Methods>, limits: &Limits, stop: StopHandle) -> Calls {
    let config = ServerConfig::builder()
        .http_only()
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .max_connections(u32::try_from(limits.connections).unwrap_or(u32::MAX))
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch))
        .build();
    let builder = JsonRpc::builder().set_config(config).to_service_builder();
    let places = RpcServiceBuilder::new().layer(Places::new(limits));
    builder.set_rpc_middleware(places).build(methods, stop)
}

/// Takes connections. One too many, of all or of its client, is closed at once.
async fn accept<S: Snapshot>(listener: TcpListener, serving: Arc<Serving<S>>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // The system has no more descriptors: connections that end give some back.
            sleep(serving.limits.time / 100).await;
            continue;
        };
        let client = serving.clients.at(peer.ip());
        match client.connect() {
            Some(place) => {
                tokio::spawn(connection(stream, Arc::clone(&serving), client, place));
            }
            None => serving.shared.usage().refused_connection(),
        }
    }
}

/// Answers the requests of one connection.
async fn connection<S: Snapshot>(
    stream: TcpStream,
    serving: Arc<Serving<S>>,
    client: Client,
    place: Taken,
) {
    let time = serving.limits.time;
    let open = serving.shared.usage().connected();
    // Answers are small, and clients wait for them. A socket that refuses works all the same.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| {
        let (serving, client) = (Arc::clone(&serving), client.clone());
        async move { Ok::<_, Infallible>(answer(&serving, &client, request).await) }
    });
    let mut http = http1::Builder::new();
    // An answer is sent from where it is: a copy would take memory that nothing counts.
    http.timer(TokioTimer::new()).header_read_timeout(time).writev(true);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), answer));
    // What is wrong with a connection is its client's matter.
    if timeout(serving.limits.connection_time, connection.as_mut()).await.is_err() {
        // A client that loses the answer to a transaction would send it again, and hear that it is known.
        connection.as_mut().graceful_shutdown();
        let _ = timeout(time, connection).await;
    }
    drop((place, open));
}

async fn answer<S: Snapshot>(
    serving: &Serving<S>,
    client: &Client,
    mut request: Request<Incoming>,
) -> HttpResponse {
    if let Some(health) = before::health(&serving.shared, request.method(), request.uri().path()) {
        return health;
    }
    let usage = serving.shared.usage();
    request.extensions_mut().insert(usage.clone());
    let answer = call(serving, client, request).await;
    usage.answered(answer.status().as_u16());
    answer
}

/// The answer to what is no question about the node's health.
async fn call<S: Snapshot>(
    serving: &Serving<S>,
    client: &Client,
    mut request: Request<Incoming>,
) -> HttpResponse {
    if serving.is_local && !before::is_local(request.headers()) {
        let why =
            "the Host header must name localhost: JSON-RPC listens on the loopback interface\n";
        return before::text(StatusCode::FORBIDDEN, why);
    }
    request.extensions_mut().insert(client.clone());
    let mut service = serving.service.clone();
    match timeout(serving.limits.time, service.call(request)).await {
        Ok(Ok(response)) => hold(client, response).unwrap_or_else(|| {
            before::text(StatusCode::SERVICE_UNAVAILABLE, "too many answers are not read yet\n")
        }),
        Ok(Err(error)) => before::text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        Err(_) => before::text(StatusCode::REQUEST_TIMEOUT, "the request took too long\n"),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
