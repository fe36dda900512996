//! WebSockets, by a client that writes their frames itself.

use super::*;

/// A WebSocket whose messages are shorter than 64 KiB.
struct Socket(StdStream);

impl Socket {
    /// Asks for a WebSocket, and returns the response's status too.
    fn ask(clients: &Clients, from: u8) -> (Self, String) {
        let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut stream = clients.send(from, head).expect("it listens");
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
            answer.extend(byte);
        }
        let status = String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned();
        (Self(stream), status)
    }

    fn open(clients: &Clients) -> Self {
        let (socket, status) = Self::ask(clients, 1);
        assert_eq!(status, "101");
        socket
    }

    fn send(&mut self, text: &str) {
        self.send_frame(0x81, text.as_bytes());
    }

    /// Sends a frame with the first byte `kind`.
    fn send_frame(&mut self, kind: u8, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
        // 16 bits of length, masked by zeros.
        let head = [&[kind, 0x80 | 126], &length[..], &[0; 4]].concat();
        self.0.write_all(&[&head, bytes].concat()).expect("sent");
    }

    /// Returns the next text; `None` if the server closes the WebSocket.
    fn receive(&mut self) -> Option<Value> {
        let (kind, bytes) = self.receive_frame()?;
        (kind == 0x81).then(|| serde_json::from_slice(&bytes).expect("JSON"))
    }

    /// Returns the code with which the server closes the WebSocket.
    fn close_code(&mut self) -> Option<u16> {
        let (kind, bytes) = self.receive_frame()?;
        assert_eq!(kind, 0x88);
        bytes.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// Returns the next text or close frame, with its first byte; `None` if the connection ends.
    fn receive_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).ok()?;
            let length = match head[1] {
                126 => {
                    let mut length = [0; 2];
                    self.0.read_exact(&mut length).ok()?;
                    usize::from(u16::from_be_bytes(length))
                }
                short => usize::from(short),
            };
            let mut bytes = vec![0; length];
            self.0.read_exact(&mut bytes).ok()?;
            match head[0] {
                kind @ (0x81 | 0x88) => return Some((kind, bytes)),
                ping => assert_eq!(ping, 0x89),
            }
        }
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.send(&call.to_string());
        let answer = self.receive().expect("an answer");
        assert_eq!(answer["id"], 7, "{answer}");
        answer
    }
}

#[test]
fn a_socket_has_calls_batches_and_subscriptions() {
    let (mut node, server) = served([127, 0, 0, 1], Limits::default());
    let clients = Clients::of(server.address());
    let mut socket = Socket::open(&clients);
    assert_eq!(socket.call("eth_chainId", json!([]))["result"], "0x7");
    let call = |id: u8| json!({"jsonrpc": "2.0", "id": id, "method": "eth_blockNumber"});
    socket.send(&json!([call(1), call(2)]).to_string());
    let answers = socket.receive().expect("an answer");
    assert_eq!((&answers[0]["result"], &answers[1]["id"]), (&json!("0x0"), &json!(2)));
    socket.send("{");
    assert_eq!(socket.receive().expect("an answer")["error"]["code"], -32_700);
    let id = socket.call("eth_subscribe", json!(["newHeads"]))["result"].clone();
    for nonce in 0..2 {
        node.shared().send(payment(0, nonce, 10_u128.pow(10))).expect("admitted");
        node.step(0).expect("works").expect("made");
        // Nobody else asks: the block comes when it is durable.
        let message = socket.receive().expect("a block");
        let params = &message["params"];
        assert_eq!(params["subscription"], id);
        assert_eq!(params["result"]["number"], format!("{:#x}", nonce + 1));
    }
    assert_eq!(node.shared().usage().read().calls["eth_subscribe"], 1);
    assert_eq!(socket.call("eth_unsubscribe", json!([id]))["result"], true);
    // Over HTTP there are no subscriptions.
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]});
    assert!(clients.post("localhost", &body.to_string()).contains("-32601"));
}

#[test]
fn sockets_are_bounded_for_each_client_and_leave_connections_free() {
    let limits = Limits { sockets: 4, connections: 8, ..Limits::default() };
    let (_node, server) = served([0, 0, 0, 0], limits);
    let clients = Clients::of(([127, 0, 0, 1], server.address().port()).into());
    let mut open: Vec<_> = (0..2).map(|_| Socket::ask(&clients, 2)).collect();
    assert!(open.iter().all(|(_, status)| status == "101"));
    assert_eq!(Socket::ask(&clients, 2).1, "503");
    assert_eq!(Socket::ask(&clients, 3).1, "101");
    assert_eq!(clients.status(2), "200");
    drop(open.pop());
    let begun = Instant::now();
    while Socket::ask(&clients, 2).1 != "101" {
        assert!(begun.elapsed() < PATIENCE, "no place has come free");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_message_has_the_limits_bytes_at_most() {
    let (_node, server) =
        served([127, 0, 0, 1], Limits { request_bytes: 200, ..Limits::default() });
    let clients = Clients::of(server.address());
    let mut socket = Socket::open(&clients);
    socket.call("eth_chainId", json!([]));
    socket.send(&" ".repeat(201));
    assert_eq!(socket.close_code(), Some(1009));
}

#[test]
fn an_invalid_message_costs_only_its_client() {
    let (_node, server) = served([127, 0, 0, 1], Limits::default());
    let clients = Clients::of(server.address());
    let mut socket = Socket::open(&clients);
    let subscribe =
        b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"eth_subscribe\",\"params\":[\"newHeads\"]";
    for message in [&[0xff][..], &[&subscribe[..], b",\"x\":\"\xff\"}"].concat()] {
        socket.send_frame(0x82, message);
        assert_eq!(socket.receive().expect("an answer")["error"]["code"], -32_700);
    }
    // A binary message with valid text is a request.
    socket.send_frame(0x82, &[&subscribe[..], b"}"].concat());
    assert!(socket.receive().expect("an answer")["result"].is_string());
    // A character may be split between frames.
    socket.send_frame(0x01, b"{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\",\"id\":\"\xe2\x82");
    socket.send_frame(0x80, b"\xac\"}");
    assert_eq!(socket.receive().expect("an answer")["id"], "\u{20ac}");
    socket.send_frame(0x81, b"\"\xe2\x82\"");
    assert_eq!(socket.close_code(), Some(1007));
    // In the second frame of a message.
    let mut socket = Socket::open(&clients);
    socket.send_frame(0x01, b"\"");
    socket.send_frame(0x80, b"\xff\"");
    assert_eq!(socket.close_code(), Some(1007));
    // A frame of an unknown kind violates the protocol.
    let mut socket = Socket::open(&clients);
    socket.send_frame(0x83, b"");
    assert_eq!(socket.close_code(), Some(1002));
    // In the reason of a close frame.
    let mut socket = Socket::open(&clients);
    socket.send_frame(0x88, b"\x03\xe8\xff");
    assert!(socket.close_code().is_some());
    assert_eq!(Socket::open(&clients).call("eth_chainId", json!([]))["result"], "0x7");
}
