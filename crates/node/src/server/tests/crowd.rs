//! Tests with more connections than places, and with requests that name other hosts.

use super::*;

#[test]
fn idle_connections_give_way() {
    let (_node, server) = served([127, 0, 0, 1], six());
    let clients = Clients::of(server.address());
    // Some connections have never sent anything, and some have had a response.
    let mut idle: Vec<_> = (0..6).map(|_| clients.send(1, "").expect("it listens")).collect();
    for _ in 0..9 {
        let (stream, status) = clients.get(1, "/healthz").expect("an answer");
        assert_eq!(status, "200");
        idle.push(stream);
    }
}

/// More parallel connections than places: they wait for each other.
#[test]
fn parallel_requests_are_all_answered() {
    let limits = Limits { connections: 4, ..Limits::default() };
    let (_node, server) = served([127, 0, 0, 1], limits);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let ask = || Clients::of(server.address()).post("localhost", body);
    let answers: Vec<String> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..60).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|it| it.join().expect("no panic")).collect()
    });
    for answer in answers {
        assert!(answer.contains(r#""result":"0x7""#), "{answer}");
    }
}

#[test]
fn what_finds_no_place_is_told() {
    let limits = Limits { connections: 1, waiting_connections: 1, ..six() };
    let (_node, server) = served([127, 0, 0, 1], limits);
    let clients = Clients::of(server.address());
    let _busy = clients.busy(1);
    let ask = |text: &str| {
        let mut stream = clients.send(1, text).expect("it listens");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        (read.is_ok(), answer)
    };
    let expected = std::str::from_utf8(BUSY).expect("ASCII");
    let (head, body) = expected.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    // It takes the only place for waiting connections; a second one does not wait.
    let waits = clients.send(1, "GET /healthz HTTP/1.1\r\nHost: any\r\n\r\n");
    assert_eq!(ask("").1, expected);
    let mut answer = String::new();
    waits.expect("it listens").read_to_string(&mut answer).expect("whole");
    assert_eq!(answer, expected);
}

#[test]
fn other_interfaces_answer_for_hosts_that_are_known() {
    let node = node(&begun(), NodeConfig::default());
    let known = Access { hosts: vec!["node.example".to_owned()], ..Access::default() };
    let any = ([0, 0, 0, 0], 0).into();
    let server = Server::start_with(&known, any, node.shared(), Limits::default()).expect("served");
    let clients = Clients::of(([127, 0, 0, 1], server.address().port()).into());
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    for (host, status) in [
        ("evil.example", "403"),
        ("evil.example:8545", "403"),
        ("node.example:8545", "200"),
        ("127.0.0.1:8545", "200"),
        ("localhost", "200"),
        ("192.0.2.7:8545", "200"),
    ] {
        let answer = clients.post(host, body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
    assert_eq!(clients.status(1), "200", "health is told to any");
}
