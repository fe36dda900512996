//! Memory limit for responses that clients do not read.

use crate::clients::{Client, Taken};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use jsonrpsee::server::{HttpBody, HttpResponse};
use std::sync::Arc;

/// Responses of up to this many bytes are not counted: the number of connections limits them.
const SMALL: u64 = 64 << 10;

/// Bytes that take space of the client until they are sent.
struct Held {
    bytes: Bytes,
    _room: Arc<Taken>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reserves space of the client for a response until its bytes are sent or dropped. Returns `None`
/// if there is not enough space.
pub(crate) fn hold(client: &Client, answer: HttpResponse) -> Option<HttpResponse> {
    let length = answer.body().size_hint().upper().unwrap_or(u64::MAX);
    if length <= SMALL {
        return Some(answer);
    }
    let room = Arc::new(client.hold(length)?);
    // The body is dropped as soon as its bytes wait for the socket, so the bytes themselves hold
    // the reservation.
    Some(answer.map(|body| {
        HttpBody::new(body.map_frame(move |frame| {
            let _room = Arc::clone(&room);
            frame.map_data(|bytes| Bytes::from_owner(Held { bytes, _room }))
        }))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, clients::Clients};
    use tokio::runtime::Builder;

    fn answer(kib: usize) -> HttpResponse {
        HttpResponse::new(HttpBody::from(vec![b' '; kib << 10]))
    }

    #[test]
    fn answers_have_room_until_their_bytes_are_sent() {
        // A client may use half of it.
        let clients = Clients::new(Limits { unread_bytes: 2 << 20, ..Limits::default() });
        let client = clients.at([10, 0, 0, 1].into());
        let mut first = hold(&client, answer(700)).expect("room");
        assert!(hold(&client, answer(400)).is_none());
        assert!(hold(&client, answer(300)).is_some(), "what was dropped gives its room back");
        assert!(hold(&client, answer(64)).is_some(), "small answers need no room");
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let frame = runtime.block_on(first.body_mut().frame()).expect("a frame").expect("whole");
        let bytes = frame.into_data().expect("data");
        drop(first);
        assert!(hold(&client, answer(400)).is_none(), "bytes that are not sent take room");
        assert_eq!(bytes.len(), 700 << 10);
        drop(bytes);
        assert!(hold(&client, answer(400)).is_some());
    }
}
