//! Memory of answers that clients do not read.

use crate::limits::Limits;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use jsonrpsee::server::{HttpBody, HttpResponse};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Answers of up to this many bytes are held without asking: connections are limited, too.
const SMALL: u64 = 64 << 10;

/// What a permit is for.
const KIB: usize = 1 << 10;

/// Room for answers that have not been sent.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    /// A permit for each KiB.
    free: Arc<Semaphore>,
}

/// Bytes that take room until they are sent.
struct Held {
    bytes: Bytes,
    _room: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Unread {
    pub(crate) fn new(limits: &Limits) -> Self {
        let kib = (limits.unread_bytes / KIB).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(kib)) }
    }

    /// The same answer, which takes room until its bytes are sent or dropped. `None` if there is none.
    pub(crate) fn hold(&self, answer: HttpResponse) -> Option<HttpResponse> {
        let length = answer.body().size_hint().upper().unwrap_or(u64::MAX);
        if length <= SMALL {
            return Some(answer);
        }
        let kib = u32::try_from(length / KIB as u64 + 1).ok()?;
        let room = Arc::new(Arc::clone(&self.free).try_acquire_many_owned(kib).ok()?);
        // The body is dropped as soon as its bytes wait for the socket, so they hold the room.
        Some(answer.map(|body| {
            HttpBody::new(body.map_frame(move |frame| {
                let _room = Arc::clone(&room);
                frame.map_data(|bytes| Bytes::from_owner(Held { bytes, _room }))
            }))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    fn answer(kib: usize) -> HttpResponse {
        HttpResponse::new(HttpBody::from(vec![b' '; kib << 10]))
    }

    #[test]
    fn answers_have_room_until_their_bytes_are_sent() {
        let unread = Unread::new(&Limits { unread_bytes: 1 << 20, ..Limits::default() });
        let mut first = unread.hold(answer(700)).expect("room");
        assert!(unread.hold(answer(400)).is_none());
        assert!(unread.hold(answer(300)).is_some(), "what was dropped gives its room back");
        assert!(unread.hold(answer(64)).is_some(), "small answers need no room");
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let frame = runtime.block_on(first.body_mut().frame()).expect("a frame").expect("whole");
        let bytes = frame.into_data().expect("data");
        drop(first);
        assert!(unread.hold(answer(400)).is_none(), "bytes that are not sent take room");
        assert_eq!(bytes.len(), 700 << 10);
        drop(bytes);
        assert!(unread.hold(answer(400)).is_some());
    }
}
