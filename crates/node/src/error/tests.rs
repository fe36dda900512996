//! Provokes every variant of the public errors, and checks that each message says what to do next.

use super::{NodeError, ServerError};
use crate::{
    Limits, Node, NodeConfig, Server,
    methods::{Context, module},
    testing::{address, begun, begun_with, node, payment},
};
use braid_blocks::errors::Made;
use braid_chain::{MemoryStore, StateStore, Table, Writes};
use std::{
    env,
    fs::File,
    net::{SocketAddr, TcpListener},
    process::Command,
};

const SOURCE: &str = include_str!("mod.rs");

fn write(store: &MemoryStore, change: impl FnOnce(&mut Writes)) {
    let mut writes = Writes::default();
    change(&mut writes);
    store.write(writes).expect("written");
}

/// Returns the error of opening a node.
fn closed(store: &MemoryStore) -> NodeError {
    Node::open(store.clone(), NodeConfig::default()).map(|_| ()).expect_err("it does not open")
}

/// Makes a chain with one block, and returns the error of opening a node after `change`.
fn spoilt(change: impl FnOnce(&mut Writes)) -> NodeError {
    let store = begun();
    let mut node = node(&store, NodeConfig::default());
    node.shared().send(payment(0, 0, 10_000_000_000)).expect("admitted");
    node.step(0).expect("a block").expect("made");
    node.chain().flush().expect("durable");
    drop(node);
    write(&store, change);
    closed(&store)
}

#[test]
fn every_reason_for_which_a_node_does_not_run() {
    let mut made = Made::default();
    let first = 1_u64.to_be_bytes();
    made.add(&closed(&MemoryStore::new()), &["braid-node init"]);
    let unread = spoilt(|it| it.put(Table::Blocks, first, [0xff]));
    made.add(&unread, &["block 1", "run `braid-node verify`"]);
    let missing = spoilt(|it| it.remove(Table::Blocks, first));
    made.add(&missing, &["last block 1", "`braid-node export`"]);
    let later = begun_with(|genesis| genesis.config.amsterdam_time = Some(0));
    made.add(&closed(&later), &["Amsterdam", "without amsterdamTime"]);

    let store = begun();
    let mut node = node(&store, NodeConfig::default());
    node.shared().send(payment(0, 0, 10_000_000_000)).expect("admitted");
    write(&store, |it| it.put(Table::Accounts, address(0).as_slice(), [1]));
    let failed = node.step(0).map(|_| ()).expect_err("a record that is spoilt");
    made.add(&failed, &["block 1", &address(0).to_string(), "restore the folder"]);
    let follow = crate::FollowError::Thread(std::io::Error::other("none left"));
    made.add(&NodeError::from(follow), &["none left"]);
    made.has_all_of(SOURCE, "NodeError", &[]);
}

/// Starts a server for a new node on `address`.
fn serve(address: SocketAddr) -> Result<Server, ServerError> {
    Server::start(address, node(&begun(), NodeConfig::default()).shared(), Limits::default())
}

#[test]
fn every_reason_for_which_nothing_is_served() {
    let mut made = Made::default();
    let other = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = other.local_addr().expect("it has one");
    let taken = serve(address).map(|_| ()).expect_err("the port is taken");
    made.add(&taken, &[&address.to_string(), "choose another port"]);

    let shared = node(&begun(), NodeConfig::default()).shared();
    let methods = || module(Context { shared: shared.clone(), limits: Limits::default() });
    let mut twice = methods().expect("methods");
    let twice = twice.merge(methods().expect("methods")).expect_err("each name is taken");
    made.add(&ServerError::Methods(twice.to_string()), &["eth_", "report it"]);
    made.has_all_of(SOURCE, "ServerError", &["Runtime"]);
}

/// A process with a low limit of open files cannot start the runtime.
#[cfg(unix)]
#[test]
fn a_runtime_that_the_system_refuses() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(env::current_exe().expect("it"));
    command.args(["--exact", "error::tests::child_with_few_files", "--ignored", "--nocapture"]);
    let output = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("\nrefused: "), "{text}");
}

#[test]
#[ignore = "the process of `a_runtime_that_the_system_refuses`"]
fn child_with_few_files() {
    let mut files: Vec<_> = (0..64).map_while(|_| File::open("/dev/null").ok()).collect();
    assert!(files.len() < 64, "started without a limit");
    // Free a descriptor for the listener.
    files.pop();
    let refused = serve(([127, 0, 0, 1], 0).into()).map(|_| ()).expect_err("no file is left");
    assert!(matches!(refused, ServerError::Runtime(_)), "{refused}");
    Made::default().add(&refused, &["cannot start the runtime", "ulimit -n"]);
    println!("\nrefused: {refused}");
}
