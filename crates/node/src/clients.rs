//! Clients, told apart by their addresses: none takes more than its part of what all share.

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

/// Places of connections, of requests that are worked on, and of KiB of answers that are not sent.
#[derive(Debug)]
struct Room {
    connections: Arc<Semaphore>,
    /// Connections that wait for a place: their number is bounded, and idle connections give way to them.
    waiting: Arc<Semaphore>,
    wanted: Wanted,
    requests: Arc<Semaphore>,
    unread: Arc<Semaphore>,
}

impl Room {
    /// One of `parts` of what the limits allow, rounded up.
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
        }
    }
}

/// How many connections wait for a place.
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

/// A connection waits until this is dropped.
struct Waits<'w>(&'w AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Room {
    /// A place for a connection, when one comes free.
    async fn connection(&self) -> Option<OwnedSemaphorePermit> {
        let _waits = self.wanted.wait();
        Arc::clone(&self.connections).acquire_owned().await.ok()
    }
}

/// Clients that have a connection, or have left something behind that still takes a place.
#[derive(Debug)]
pub(crate) struct Clients {
    limits: Limits,
    all: Arc<Room>,
    known: Mutex<HashMap<IpAddr, Weak<Room>>>,
}

/// A client. It shares `all` with others, and takes its own part of it at most.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    own: Arc<Room>,
    all: Arc<Room>,
}

/// Places that are taken until this is dropped. A client that comes back meets what it has not given back.
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

    /// The client at an address.
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
    /// A place for a connection, if one is free.
    pub(crate) fn connect(&self) -> Option<Taken> {
        self.take_now(1, |room| &room.connections)
    }

    /// A place among the connections that wait for one.
    pub(crate) fn queue(&self) -> Option<Taken> {
        self.take_now(1, |room| &room.waiting)
    }

    /// A place for a connection, if one comes free in time.
    pub(crate) async fn connect_in(&self, time: Duration) -> Option<Taken> {
        let both = async { Some([self.own.connection().await?, self.all.connection().await?]) };
        timeout(time, both).await.ok().flatten().map(|places| self.taken(places))
    }

    /// Whether a connection waits for a place that this client could give back.
    pub(crate) fn is_wanted(&self) -> bool {
        self.own.wanted.is_wanted() || self.all.wanted.is_wanted()
    }

    /// Room for the bytes of an answer, if it is free.
    pub(crate) fn hold(&self, bytes: u64) -> Option<Taken> {
        self.take_now(u32::try_from(bytes / 1024 + 1).ok()?, |room| &room.unread)
    }

    /// A place for a request, if one comes free in time.
    pub(crate) async fn request(&self, wait: Duration) -> Option<Taken> {
        let take = |room: &Room| Arc::clone(&room.requests).acquire_owned();
        // Its own first: what waits for another client's place is no more than its part, too.
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

/// The addresses that one client can have: of IPv6, a network of 64 bits is given out as a whole.
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
        // The same with IPv4 in IPv6.
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
