//! WebSockets: calls and subscriptions on one connection.

use crate::{
    clients::{Client, Taken},
    http as before,
    request_log::Connection,
    server::{Serving, dispatch},
    subscriptions::Subscriptions,
};
use braid_chain::Snapshot;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_tungstenite::{
    HyperWebsocket, WebSocketStream, is_upgrade_request,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
    upgrade,
};
use hyper_util::rt::TokioIo;
use jsonrpsee::server::{HttpBody, HttpResponse};
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, timeout};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Time between two pings. A client that has not answered one by the next is disconnected.
const PING: Duration = Duration::from_secs(30);

/// Returns true if a request asks for a WebSocket.
pub(crate) fn is_asked_for(request: &Request<Incoming>) -> bool {
    is_upgrade_request(request)
}

/// Answers a request for a WebSocket, and serves it in the background.
pub(crate) fn open<S: Snapshot>(
    serving: &Arc<Serving<S>>,
    client: &Client,
    mut request: Request<Incoming>,
) -> HttpResponse {
    if !before::is_origin_allowed(&serving.origins, request.headers()) {
        return before::text(StatusCode::FORBIDDEN, "web pages of this origin may not call\n");
    }
    let Some(place) = client.socket() else {
        return before::text(StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets\n");
    };
    let connection = request.extensions().get().copied();
    let most = usize::try_from(serving.limits.request_bytes).unwrap_or(usize::MAX);
    let config = WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most));
    match upgrade(&mut request, Some(config)) {
        Ok((response, socket)) => {
            let asking = (client.clone(), connection);
            tokio::spawn(serve(Arc::clone(serving), asking, socket, place));
            response.map(HttpBody::new)
        }
        Err(error) => before::text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
    }
}

/// Serves a WebSocket until it is closed. Calls run one after the other, so a client that does not
/// read its responses is not read either.
async fn serve<S: Snapshot>(
    serving: Arc<Serving<S>>,
    (client, connection): (Client, Option<Connection>),
    socket: HyperWebsocket,
    place: Taken,
) {
    let open = serving.shared.usage().connected();
    // Errors of a connection concern only its client.
    if let Ok(socket) = socket.await {
        let limit = serving.limits.subscriptions;
        let subscriptions = Subscriptions::new(Arc::clone(&serving.shared), limit, connection);
        let mut session =
            Session { serving, client, connection, socket, subscriptions, fault: None };
        let _ = session.run().await;
        let reason = session.fault.map(|code| CloseFrame { code, reason: "".into() });
        let _ = timeout(PING, session.socket.close(reason)).await;
    }
    drop((place, open));
}

struct Session<S> {
    serving: Arc<Serving<S>>,
    client: Client,
    connection: Option<Connection>,
    socket: Socket,
    subscriptions: Subscriptions<S>,
    /// Code to close the connection with, if the client's message ends it.
    fault: Option<CloseCode>,
}

impl<S: Snapshot> Session<S> {
    /// Answers messages and sends notifications. Returns `None` when the connection ends.
    async fn run(&mut self) -> Option<()> {
        let mut signal = self.serving.shared.feed.signal();
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_alive = true;
        loop {
            tokio::select! {
                message = self.socket.next() => {
                    is_alive = true;
                    match message?.map_err(|error| self.fault = fault(&error)).ok()? {
                        Message::Text(text) => self.answer(text.into()).await?,
                        Message::Binary(bytes) => self.answer(bytes).await?,
                        Message::Close(_) => return None,
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                    }
                }
                changed = signal.changed() => changed.ok()?,
                _ = ping.tick() => {
                    if !core::mem::replace(&mut is_alive, false) {
                        return None;
                    }
                    self.send(Message::Ping(Bytes::new())).await?;
                }
            }
            while let Some(text) = self.subscriptions.next().ok()? {
                self.send(Message::text(text)).await?;
            }
        }
    }

    /// Answers one message, which may be a batch.
    async fn answer(&mut self, message: Bytes) -> Option<()> {
        let text = core::str::from_utf8(&message).ok();
        if let Some(answer) = text.and_then(|text| self.subscriptions.answer(text)) {
            return self.send(Message::text(answer)).await;
        }
        let request = Request::post("/").header(CONTENT_TYPE, "application/json");
        let mut request = request.body(Full::new(message)).ok()?;
        if let Some(connection) = self.connection {
            request.extensions_mut().insert(connection);
        }
        let response = dispatch(&self.serving, &self.client, request).await;
        if response.status() == StatusCode::NO_CONTENT {
            return Some(());
        }
        let body = response.into_body().collect().await.ok()?.to_bytes();
        let held = self.client.hold(body.len() as u64)?;
        let text = String::from_utf8(body.into()).ok()?;
        let sent = self.send(Message::text(text)).await;
        drop(held);
        sent
    }

    /// Sends a message, if the client reads it in time.
    async fn send(&mut self, message: Message) -> Option<()> {
        timeout(self.serving.limits.time, self.socket.send(message)).await.ok()?.ok()
    }
}

/// Returns the code for closing a connection whose client sent an invalid message.
fn fault(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}
