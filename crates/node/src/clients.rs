//! Clients, identified by their addresses. None takes more than its share of the common places.

use crate::limits::Limits;
use core::{num::NonZeroUsize, time::Duration};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Places for connections, for requests that run, and for responses that are not sent yet, in KiB.
#[derive(Debug)]
struct Room {
    connections: Arc<Semaphore>,
    /// Places for connections that wait. Their number is bounded, and idle connections are closed
    /// for them.
    waiting: Arc<Semaphore>,
    wanted: Wanted,
    requests: Arc<Semaphore>,
    unread: Arc<Semaphore>,
    filters: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
}

impl Room {
    /// Creates the places for one of `parts` equal shares of the limits, rounded up.
    fn new(limits: &Limits, parts: NonZeroUsize) -> Self {
        let places = |all: usize| {
            Arc::new(Semaphore::new(all.div_ceil(parts.get()).min(Semaphore::MAX_PERMITS)))
        };
        Self {
            connections: places(limits.connections),
            waiting: places(limits.waiting_connections),
            wanted: Wanted::default(),
            requests: places(limits.requests_at_once.max(1)),
            unread: places(limits.unread_bytes / 1024),
            filters: places(limits.filters),
            sockets: places(limits.sockets),
        }
    }
}

/// Number of connections that wait for a place.
#[derive(Debug, Default)]
struct Wanted(AtomicUsize);

impl Wanted {
    fn wait(&self) -> Waits<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Waits(&self.0)
    }

    fn is_wanted(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

/// Counts as a waiting connection until it is dropped.
struct Waits<'w>(&'w AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Room {
    /// Waits for a place for a connection.
    async fn connection(&self) -> Option<OwnedSemaphorePermit> {
        let _waits = self.wanted.wait();
        Arc::clone(&self.connections).acquire_owned().await.ok()
    }
}

/// Clients that have a connection, or a call or response that still takes a place.
#[derive(Debug)]
pub(crate) struct Clients {
    limits: Limits,
    all: Arc<Room>,
    known: Mutex<HashMap<IpAddr, Weak<Room>>>,
}

/// A client. It shares `all` with other clients, and `own` is the most that it may take.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    own: Arc<Room>,
    all: Arc<Room>,
}

/// Places that are taken until the value is dropped. A client that reconnects still has the places
/// it has not freed.
#[derive(Debug)]
pub(crate) struct Taken {
    _places: [OwnedSemaphorePermit; 2],
    _own: Arc<Room>,
}

impl Clients {
    pub(crate) fn new(limits: Limits) -> Self {
        let all = Arc::new(Room::new(&limits, NonZeroUsize::MIN));
        Self { limits, all, known: Mutex::default() }
    }

    /// Returns the client at an address.
    pub(crate) fn at(&self, address: IpAddr) -> Client {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (address, all) = (network(address), Arc::clone(&self.all));
        if let Some(own) = known.get(&address).and_then(Weak::upgrade) {
            return Client { own, all };
        }
        known.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Room::new(&self.limits, self.limits.client_parts));
        known.insert(address, Arc::downgrade(&own));
        Client { own, all }
    }
}

impl Client {
    /// Takes a place for a connection, if one is free.
    pub(crate) fn connect(&self) -> Option<Taken> {
        self.take_now(1, |room| &room.connections)
    }

    /// Takes a place for a connection that waits, if one is free.
    pub(crate) fn queue(&self) -> Option<Taken> {
        self.take_now(1, |room| &room.waiting)
    }

    /// Waits for a place for a connection, for at most `time`.
    pub(crate) async fn connect_in(&self, time: Duration) -> Option<Taken> {
        let both = async { Some([self.own.connection().await?, self.all.connection().await?]) };
        timeout(time, both).await.ok().flatten().map(|places| self.taken(places))
    }

    /// Whether a connection waits for a place that this client could free.
    pub(crate) fn is_wanted(&self) -> bool {
        self.own.wanted.is_wanted() || self.all.wanted.is_wanted()
    }

    /// Reserves space for the bytes of a response, if it is available.
    pub(crate) fn hold(&self, bytes: u64) -> Option<Taken> {
        self.take_now(u32::try_from(bytes / 1024 + 1).ok()?, |room| &room.unread)
    }

    /// Takes a place for a filter, if one is free.
    pub(crate) fn filter(&self) -> Option<Taken> {
        self.take_now(1, |room| &room.filters)
    }

    /// Takes a place for a WebSocket, if one is free.
    pub(crate) fn socket(&self) -> Option<Taken> {
        self.take_now(1, |room| &room.sockets)
    }

    /// Waits for a place for a request, for at most `wait`.
    pub(crate) async fn request(&self, wait: Duration) -> Option<Taken> {
        let take = |room: &Room| Arc::clone(&room.requests).acquire_owned();
        // The client's own place first: requests that wait for the common places are then within
        // its share, too.
        let both = async { Some([take(&self.own).await.ok()?, take(&self.all).await.ok()?]) };
        timeout(wait, both).await.ok().flatten().map(|places| self.taken(places))
    }

    fn take_now(&self, count: u32, of: impl Fn(&Room) -> &Arc<Semaphore>) -> Option<Taken> {
        let take = |room| Arc::clone(of(room)).try_acquire_many_owned(count).ok();
        Some(self.taken([take(&self.own)?, take(&self.all)?]))
    }

    fn taken(&self, places: [OwnedSemaphorePermit; 2]) -> Taken {
        Taken { _places: places, _own: Arc::clone(&self.own) }
    }
}

/// Returns the address range that identifies a client: networks of IPv6 with 64 bits are assigned
/// as a whole.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::iter::from_fn;
    use tokio::runtime::Builder;

    fn clients() -> Clients {
        let limits = Limits { connections: 5, requests_at_once: 2, ..Limits::default() };
        Clients::new(Limits { unread_bytes: 7 << 10, ..limits })
    }

    fn at(clients: &Clients, address: &str) -> Client {
        clients.at(address.parse().expect("an address"))
    }

    #[test]
    fn a_client_has_its_part_and_others_have_the_rest() {
        let clients = clients();
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|address| at(&clients, address));
        let taken: Vec<_> = from_fn(|| one.connect()).collect();
        assert_eq!(taken.len(), 3, "half of five, rounded up");
        let others: Vec<_> = from_fn(|| other.connect()).collect();
        assert_eq!(others.len(), 2, "what is left of five");
        drop(taken);
        assert!(other.connect().is_some());
        // Three KiB and a byte take four.
        let held = one.hold(3 << 10).expect("free");
        assert!(one.hold(1).is_none() && other.hold(3 << 10).is_none());
        assert!(other.hold(2 << 10).is_some());
        drop(held);
        assert!(one.hold(3 << 10).is_some());
        assert!(one.hold(u64::MAX).is_none());
    }

    #[test]
    fn what_waits_for_its_own_place_is_not_before_others() {
        let clients = clients();
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|address| at(&clients, address));
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let moment = Duration::from_millis(20);
            let first = one.request(moment).await.expect("free");
            assert!(one.request(moment).await.is_none());
            let waits = one.request(Duration::from_secs(60));
            let comes = other.request(Duration::from_secs(60));
            tokio::select! {
                biased;
                _ = waits => panic!("a place beyond its part"),
                came = comes => assert!(came.is_some()),
            }
            drop(first);
            assert!(one.request(moment).await.is_some());
        });
    }

    #[test]
    fn a_client_that_comes_back_meets_what_it_has_left() {
        let clients = clients();
        let left: Vec<_> = from_fn(|| at(&clients, "10.0.0.1").connect()).collect();
        assert_eq!(left.len(), 3);
        // The IPv4 address mapped to IPv6 is the same client.
        assert!(at(&clients, "::ffff:10.0.0.1").connect().is_none());
        drop(left);
        for last in 0..200_u8 {
            assert!(clients.at([10, 0, 1, last].into()).connect().is_some());
        }
        assert_eq!(clients.known.lock().expect("no panic").len(), 1, "clients that left are kept");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let clients = clients();
        let _taken: Vec<_> = from_fn(|| at(&clients, "2001:db8::1").connect()).collect();
        assert!(at(&clients, "2001:db8::ffff:0:0:2").connect().is_none());
        assert!(at(&clients, "2001:db8:0:1::1").connect().is_some());
    }

    #[test]
    fn one_part_is_all() {
        let limits = Limits { client_parts: NonZeroUsize::MIN, ..Limits::default() };
        let client = Clients::new(limits).at([127, 0, 0, 1].into());
        assert_eq!(from_fn(|| client.connect()).collect::<Vec<_>>().len(), limits.connections);
    }
}
