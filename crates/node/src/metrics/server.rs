//! The HTTP server for metrics.

use super::{
    Metrics,
    connections::{Connections, Open},
};
use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    str::FromStr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use thiserror::Error;

/// Maximum number of bytes of a request to read; a scrape has a few hundred.
const MAX_REQUEST: usize = 8 * 1024;
/// Time limit of a connection, from its acceptance to the end of the response.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time until the next attempt if no connection can be accepted, for example without a free file
/// descriptor.
const PAUSE: Duration = Duration::from_millis(100);

const OK: &str = "200 OK";
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
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let serve = move || {
            let connections = Arc::<Connections>::default();
            for stream in listener.incoming() {
                let Ok(stream) = stream else {
                    thread::sleep(PAUSE);
                    continue;
                };
                let (open, metrics) = (connections.open(stream), Arc::clone(&metrics));
                // Errors of a connection concern only its client.
                let answer = move || drop(answer(open, &metrics));
                // If the system refuses a thread, the connection is closed.
                let _ = new_thread().spawn(answer);
            }
        };
        new_thread().spawn(serve).map_err(failed)?;
        Ok(Self { address: bound })
    }

    /// Returns the address on which the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn new_thread() -> thread::Builder {
    thread::Builder::new().name("braid-metrics".to_owned())
}

/// A connection with the deadline `end`, which applies however few bytes each read and write moves.
struct Timed {
    open: Open,
    end: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = self.open.stream();
        stream.set_read_timeout(self.left()?)?;
        stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream = self.open.stream();
        stream.set_write_timeout(self.left()?)?;
        stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.stream().flush()
    }
}

fn answer(open: Open, metrics: &Metrics) -> io::Result<()> {
    let mut stream = Timed { open, end: Instant::now() + PATIENCE };
    let request = head(&mut stream)?;
    let line = request.lines().next().unwrap_or_default();
    let (status, kind, body) = match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["GET", "/metrics", _] => (OK, "text/plain; version=0.0.4", metrics.text()),
        ["GET", "/healthz", _] => (OK, PLAIN, "ok\n".to_owned()),
        ["GET", "/readyz", _] => match metrics.ready() {
            Ok(()) => (OK, PLAIN, "ready\n".to_owned()),
            Err(why) => ("503 Service Unavailable", PLAIN, format!("{why}\n")),
        },
        ["GET", ..] => ("404 Not Found", PLAIN, PATHS.to_owned()),
        _ => ("405 Method Not Allowed", PLAIN, "only GET is answered\n".to_owned()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes())
}

/// Reads the head of a request, up to the maximum length.
fn head(stream: &mut impl Read) -> io::Result<String> {
    let mut read = Vec::new();
    let mut buffer = [0; 1024];
    while read.len() < MAX_REQUEST && !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        read.extend(buffer.iter().take(count));
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Metrics, MetricsAddress, Server};
    use crate::metrics::connections::MOST;
    use std::{
        io::{Read, Write},
        net::TcpStream,
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
            ("\r\n\r\n", "405 Method Not Allowed"),
        ] {
            let answer = ask(server, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
        }
        let taken = server.address().to_string().parse().unwrap();
        let error = Server::start(taken, Arc::default()).unwrap_err().to_string();
        assert!(error.contains("choose another port"), "{error}");
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
