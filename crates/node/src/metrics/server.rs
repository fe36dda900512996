//! The HTTP server for metrics.

use super::Metrics;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener},
    str::FromStr,
    sync::Arc,
    thread,
    time::Duration,
};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    runtime::Builder,
    task::{AbortHandle, yield_now},
    time::{sleep, timeout},
};

/// Maximum number of bytes of a request to read; a scrape has a few hundred.
const MAX_REQUEST: usize = 8 * 1024;
/// Time limit of a connection, from its acceptance to the end of the response.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time until the next attempt if no connection can be accepted, for example without a free file
/// descriptor.
const PAUSE: Duration = Duration::from_millis(100);
/// Maximum number of open connections. One more closes the oldest: a scrape or a probe takes only a
/// moment, so the oldest connections belong to clients that send no request.
const MOST: usize = 64;

const PLAIN: &str = "text/plain";
const PATHS: &str = "ask for /metrics, /healthz or /readyz\n";

/// Address of the metrics server. A port without a host is a port of the loopback interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsAddress(SocketAddr);

impl FromStr for MetricsAddress {
    type Err = MetricsError;

    fn from_str(text: &str) -> Result<Self, MetricsError> {
        if let Ok(port) = text.parse() {
            return Ok(Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        text.parse().map(Self).map_err(|_| MetricsError::Address { text: text.to_owned() })
    }
}

/// Reason why metrics cannot be served.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// The text is not an address.
    #[error("expected a port, or an address such as 127.0.0.1:9184, found {text:?}")]
    Address {
        /// The text that was given.
        text: String,
    },
    /// The server cannot listen on the address.
    #[error("cannot serve metrics on {address}: {error}: choose another port, or 0 for any")]
    Bind {
        /// Address to listen on.
        address: SocketAddr,
        /// Error of the system.
        error: io::Error,
    },
}

/// A server of metrics, which runs until the process ends.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    address: SocketAddr,
}

impl Server {
    /// Starts a thread that answers `GET /metrics`, `GET /healthz` and `GET /readyz`.
    ///
    /// # Errors
    /// Returns [`MetricsError::Bind`] if the server cannot listen on `address`.
    pub fn start(address: MetricsAddress, metrics: Arc<Metrics>) -> Result<Self, MetricsError> {
        let MetricsAddress(address) = address;
        let failed = |error| MetricsError::Bind { address, error };
        let listener = StdListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(failed)?
        };
        let thread = thread::Builder::new().name("braid-metrics".to_owned());
        thread.spawn(move || runtime.block_on(accept(listener, metrics))).map_err(failed)?;
        Ok(Self { address: bound })
    }

    /// Returns the address on which the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers each connection in a task of its own.
async fn accept(listener: TcpListener, metrics: Arc<Metrics>) {
    let mut open = VecDeque::<AbortHandle>::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let metrics = Arc::clone(&metrics);
        let connection = async move {
            let answer = service_fn(|request| {
                let answer = answer(&request, &metrics);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            // A client may close its half of the connection once it has asked.
            http.keep_alive(false).half_close(true).max_buf_size(MAX_REQUEST);
            // Errors of a connection concern only its client.
            let _ = timeout(PATIENCE, http.serve_connection(TokioIo::new(stream), answer)).await;
        };
        open.retain(|connection| !connection.is_finished());
        open.push_back(tokio::spawn(connection).abort_handle());
        if open.len() > MOST
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        // A request that has arrived is answered before more connections are accepted.
        yield_now().await;
    }
}

fn answer<B>(request: &Request<B>, metrics: &Metrics) -> Response<String> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, "text/plain; version=0.0.4", metrics.text()),
        (&Method::GET, "/healthz") => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        (&Method::GET, "/readyz") => match metrics.ready() {
            Ok(()) => (StatusCode::OK, PLAIN, "ready\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{why}\n")),
        },
        (&Method::GET, _) => (StatusCode::NOT_FOUND, PLAIN, PATHS.to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET is answered\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::{MOST, Metrics, MetricsAddress, Server};
    use std::{
        io::{Read, Write},
        net::{Shutdown, TcpStream},
        sync::Arc,
        thread,
        time::{Duration, Instant},
    };

    fn ask(server: Server, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_port_alone_is_one_of_the_loopback_interface() {
        let parse = |text: &str| text.parse::<MetricsAddress>().map(|it| it.0.to_string());
        assert_eq!(parse("9184").unwrap(), "127.0.0.1:9184");
        assert_eq!(parse("0.0.0.0:9184").unwrap(), "0.0.0.0:9184");
        assert!(parse("localhost").unwrap_err().to_string().contains("127.0.0.1:9184"));
    }

    #[test]
    fn requests_are_answered() {
        let metrics = Arc::new(Metrics::default());
        let server = Server::start("0".parse().unwrap(), metrics).unwrap();
        assert!(server.address().ip().is_loopback());
        for (request, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
            ("GET /healthz HTTP/1.0\r\n\r\n", "200 OK"),
            // No chain is open yet.
            ("GET /readyz HTTP/1.1\r\n\r\n", "503 Service Unavailable"),
            ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            ("metrics\r\n\r\n", "400 Bad Request"),
        ] {
            let answer = ask(server, request);
            let line = answer.lines().next().unwrap_or_default();
            assert!(line.ends_with(status), "{request}: {answer}");
        }
        let taken = server.address().to_string().parse().unwrap();
        let error = Server::start(taken, Arc::default()).unwrap_err().to_string();
        assert!(error.contains("choose another port"), "{error}");
    }

    /// As `nc -N` does. Whether the end has arrived with the request is a matter of chance.
    #[test]
    fn a_client_that_closes_its_half_is_answered() {
        let server = Server::start("0".parse().unwrap(), Arc::default()).unwrap();
        for _ in 0..500 {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("ok\n"), "{answer:?}");
        }
    }

    #[test]
    fn a_client_that_says_nothing_or_too_much_does_not_stop_the_server() {
        let server = Server::start("0".parse().unwrap(), Arc::default()).unwrap();
        let silent = TcpStream::connect(server.address()).unwrap();
        let mut loud = TcpStream::connect(server.address()).unwrap();
        let _ = loud.write_all(&vec![b'x'; 1 << 16]);
        drop(loud);
        let answer = ask(server, "GET /metrics HTTP/1.1\r\n\r\n");
        assert!(answer.contains("braid_blocks_total 0\n"), "{answer}");
        drop(silent);
    }

    /// A probe of Kubernetes times out after five seconds.
    #[test]
    fn a_probe_does_not_wait_for_idle_connections() {
        let server = Server::start("0".parse().unwrap(), Arc::default()).unwrap();
        let connect = |_| TcpStream::connect(server.address()).unwrap();
        // With few idle connections, and with more than can be open.
        for count in [10, 2 * MOST] {
            let idle: Vec<_> = (0..count).map(connect).collect();
            let begun = Instant::now();
            assert!(ask(server, "GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
            drop(idle);
        }
    }

    #[test]
    fn a_client_that_says_a_little_at_a_time_is_not_waited_for() {
        const BYTES: usize = 150;
        let server = Server::start("0".parse().unwrap(), Arc::default()).unwrap();
        let mut slow = TcpStream::connect(server.address()).unwrap();
        let drip = move || {
            let is_taken = |_: &usize| {
                thread::sleep(Duration::from_millis(100));
                slow.write_all(b"x").is_ok()
            };
            (0..BYTES).take_while(is_taken).count()
        };
        let dripping = thread::spawn(drip);
        assert!(ask(server, "GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
        assert!(dripping.join().unwrap() < BYTES);
    }
}
