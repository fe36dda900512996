//! Fetches the blocks of another node, ahead of their execution.

use crate::upstream::{Upstream, UpstreamError};
use alloy_primitives::B256;
use braid_chain::{
    ChainBlock, Head, Rules,
    rlp::{RlpError, decode_block},
};
use crossbeam_channel::{Receiver, Sender, after, bounded, select};
use std::{
    convert::Infallible,
    io,
    num::NonZeroUsize,
    sync::Arc,
    thread::{Builder, available_parallelism},
    time::Duration,
};
use thiserror::Error;

/// Maximum number of blocks that are fetched and decoded ahead.
const AHEAD: usize = 4;

/// Number of blocks after which the followed node is asked for its last block again.
const HEAD_EVERY: u64 = 64;

/// Maximum time until the next attempt if the followed node does not answer, unless the pause
/// between two questions is longer.
const MOST_PATIENCE: Duration = Duration::from_secs(30);

/// Reason why a node cannot be followed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The nodes are of different chains.
    #[error(
        "{origin} has the chain id {theirs}, and this chain {ours}: create a chain from that node's genesis in another \
         folder (`braid-node init`), or name another node"
    )]
    ChainId {
        /// The followed node.
        origin: String,
        /// Its chain id.
        theirs: u64,
        /// Chain id of the own chain.
        ours: u64,
    },
    /// The nodes have different blocks of one number.
    #[error(
        "block {} of {origin} has the hash {}, this chain's has {}: the chains have different genesis files, or part \
         before the blocks that can be unwound (`--undo-blocks`)",
        .theirs.number, .theirs.hash, .ours.hash
    )]
    Block {
        /// The followed node.
        origin: String,
        /// Its block.
        theirs: Head,
        /// The own block.
        ours: Head,
    },
    /// An answer cannot be used, or there is none.
    #[error("{origin}: {why}")]
    Answer {
        /// The followed node.
        origin: String,
        /// Description of the fault.
        why: String,
        /// Whether a retry may succeed.
        may_pass: bool,
    },
    /// A block cannot be decoded.
    #[error("block {number} of {origin}: {error}")]
    Rlp {
        /// The followed node.
        origin: String,
        /// Number of the block.
        number: u64,
        /// The error.
        error: RlpError,
    },
    /// The system refused to start the thread that fetches blocks, or the thread has panicked.
    #[error("cannot fetch blocks: {0}")]
    Thread(#[source] io::Error),
}

impl FollowError {
    /// Whether to ask again. Once a block has been fetched, every failure to answer is retried.
    const fn may_pass(&self, has_fetched: bool) -> bool {
        match self {
            Self::Answer { may_pass, .. } => *may_pass || has_fetched,
            _ => false,
        }
    }
}

/// Blocks of another node after a given one. The fetching thread ends when the value is dropped, or
/// after an error that a retry would repeat.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) blocks: Receiver<Result<ChainBlock, FollowError>>,
    _stop: Sender<Infallible>,
}

/// State of the thread.
struct Fetcher {
    upstream: Arc<Upstream>,
    rules: Rules,
    /// The last block that was fetched, or that the chain has.
    head: Head,
    /// Whether the followed node is known to have the block with which the chain ends.
    is_same: bool,
    /// Whether a block has been fetched, so that the node is known to be of the right kind.
    has_fetched: bool,
    pause: Duration,
    report: fn(String),
    /// The last error that was reported, if it persists.
    error: Option<String>,
    /// Number of attempts that have failed since the node answered.
    failures: u32,
}

impl Fetched {
    /// Starts to fetch the blocks of `upstream` after `head`. If there is none, looks again after
    /// `pause`. `report` is told when the node cannot be reached, and when it answers again.
    ///
    /// # Errors
    /// The system refused to start a thread.
    pub(crate) fn start(
        upstream: Arc<Upstream>,
        rules: Rules,
        head: Head,
        pause: Duration,
        report: fn(String),
    ) -> Result<Self, FollowError> {
        let (send, blocks) = bounded(AHEAD);
        let (stop, stopped) = bounded(0);
        let fetcher = Fetcher {
            upstream,
            rules,
            head,
            is_same: false,
            has_fetched: false,
            pause,
            report,
            error: None,
            failures: 0,
        };
        let thread = Builder::new().name("braid-follow".to_owned());
        let thread = thread.spawn(move || fetcher.run(&send, &stopped));
        thread.map_err(FollowError::Thread)?;
        Ok(Self { blocks, _stop: stop })
    }
}

impl Fetcher {
    fn run(
        mut self,
        send: &Sender<Result<ChainBlock, FollowError>>,
        stopped: &Receiver<Infallible>,
    ) {
        loop {
            let step = self.step();
            if step.is_ok() && self.error.take().is_some() {
                (self.report)(format!("{} answers again", self.upstream.origin()));
            }
            self.failures = if step.is_ok() { 0 } else { self.failures.saturating_add(1) };
            self.upstream.set_answering(step.is_ok());
            match step {
                Ok(Some(block)) => {
                    if send.send(Ok(block)).is_err() {
                        return;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) if error.may_pass(self.has_fetched) => {
                    self.is_same = false;
                    let error = error.to_string();
                    if self.error.as_ref() != Some(&error) {
                        (self.report)(format!("{error}; trying again"));
                    }
                    self.error = Some(error);
                }
                Err(error) => {
                    // If nobody receives it, the node has stopped.
                    let _ = send.send(Err(error));
                    return;
                }
            }
            select! {
                recv(stopped) -> _ => return,
                recv(after(patience(self.pause, self.failures))) -> _ => {}
            }
        }
    }

    /// Fetches the next block, if there is one.
    fn step(&mut self) -> Result<Option<ChainBlock>, FollowError> {
        if !self.is_same {
            self.compare()?;
            self.is_same = true;
        }
        let next = self.head.number.saturating_add(1);
        // Asked for every few blocks even if more are known, so that `eth_syncing` is right.
        if next > self.upstream.known_head() || next.is_multiple_of(HEAD_EVERY) {
            let head = self.asked(Upstream::head)?;
            if head < self.head.number {
                return Err(self.lacks(format!("it has no block after {head}")));
            }
            if head < next {
                // Another block of the same number has perhaps replaced the last one.
                self.compare_head()?;
                return Ok(None);
            }
        }
        let rlp = self.asked(|upstream| upstream.block(next))?;
        let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let block = decode_block(&rlp, &self.rules, threads);
        let origin = || self.upstream.origin().to_owned();
        let block =
            block.map_err(|error| FollowError::Rlp { origin: origin(), number: next, error })?;
        if block.block.parent_hash != self.head.hash {
            let theirs = Head { hash: block.block.parent_hash, ..self.head };
            return Err(FollowError::Block { origin: origin(), theirs, ours: self.head });
        }
        self.head = Head { number: next, hash: block.hash };
        self.has_fetched = true;
        Ok(Some(block))
    }

    /// Compares the chain's last block with the followed node's block of the same number.
    fn compare(&self) -> Result<(), FollowError> {
        let origin = || self.upstream.origin().to_owned();
        let (theirs, ours) = (self.asked(Upstream::chain_id)?, self.rules.chain_id());
        if theirs != ours {
            return Err(FollowError::ChainId { origin: origin(), theirs, ours });
        }
        self.compare_head()
    }

    fn compare_head(&self) -> Result<(), FollowError> {
        let origin = || self.upstream.origin().to_owned();
        let ours = self.head;
        let Some(hash) = self.asked(|upstream| upstream.hash(ours.number))? else {
            let number = ours.number;
            return Err(self.lacks(format!("it does not have this chain's last block {number}")));
        };
        if hash != ours.hash {
            let theirs = Head { hash, ..ours };
            return Err(FollowError::Block { origin: origin(), theirs, ours });
        }
        Ok(())
    }

    /// Error of a node without a block that this chain has, which it may yet get.
    fn lacks(&self, why: String) -> FollowError {
        FollowError::Answer { origin: self.upstream.origin().to_owned(), why, may_pass: true }
    }

    fn asked<T>(
        &self,
        ask: impl FnOnce(&Upstream) -> Result<T, UpstreamError>,
    ) -> Result<T, FollowError> {
        asked(&self.upstream, ask)
    }
}

fn asked<T>(
    upstream: &Upstream,
    ask: impl FnOnce(&Upstream) -> Result<T, UpstreamError>,
) -> Result<T, FollowError> {
    ask(upstream).map_err(|error| FollowError::Answer {
        origin: upstream.origin().to_owned(),
        why: error.to_string(),
        may_pass: error.may_pass(),
    })
}

/// Returns the time until the next attempt after a number of failures: twice as long after each.
fn patience(pause: Duration, failures: u32) -> Duration {
    let doubled = pause.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(MOST_PATIENCE.max(pause))
}

/// Returns the number of the last block from `first` on that the followed node has, too, if the
/// block `head` is not one. `ours` returns the hash of an own block, if it is known. The chains have
/// the same blocks up to some number, and none after it.
pub(crate) fn last_common(
    upstream: &Upstream,
    (first, head): (u64, u64),
    ours: impl Fn(u64) -> Option<B256>,
) -> Result<Option<u64>, FollowError> {
    let is_same = |number| match ours(number) {
        Some(ours) => Ok(asked(upstream, |it| it.hash(number))? == Some(ours)),
        None => Ok(false),
    };
    // Most often only the last blocks differ.
    let (mut same, mut other, mut step) = (head, head, 1);
    loop {
        if same <= first {
            return Ok(None);
        }
        same = same.saturating_sub(step).max(first);
        if is_same(same)? {
            break;
        }
        (other, step) = (same, step.saturating_mul(2));
    }
    while other.saturating_sub(same) > 1 {
        let middle = same.midpoint(other);
        match is_same(middle)? {
            true => same = middle,
            false => other = middle,
        }
    }
    Ok(Some(same))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Follower, Limits, Node, NodeConfig,
        testing::{self, Client, begun_as, payment},
    };
    use alloy_consensus::{Block, BlockBody, Header};
    use alloy_primitives::{U256, hex};
    use braid_blocks::{block_file::BlockFile, errors::Made, workload::demo_chain};
    use braid_chain::{Keep, MemoryStore, StateRoots, create, genesis};
    use serde_json::{Value, json};
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        sync::Mutex,
        thread,
        time::Instant,
    };

    /// Reports of the fetching threads, by host.
    static REPORTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

    fn report(text: String) {
        REPORTS.lock().expect("no panic holds it").push(text);
    }

    /// Returns the body of a request.
    fn body(stream: &mut TcpStream) -> String {
        let mut request = String::new();
        while !request.ends_with('}') {
            let mut bytes = [0; 4_096];
            let length = stream.read(&mut bytes).expect("a request");
            request += &String::from_utf8_lossy(&bytes[..length]);
        }
        request.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }

    /// Starts a node that answers a method with a result, or with an error: code and message.
    fn node(
        answer: impl Fn(&str) -> Result<Value, (i32, &'static str)> + Send + 'static,
    ) -> Upstream {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/secret", server.local_addr().expect("bound"));
        thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.expect("connects");
                let body = body(&mut stream);
                let call: Value = serde_json::from_str(&body).expect("JSON");
                let body = match answer(call["method"].as_str().expect("a method")) {
                    Ok(result) => json!({"jsonrpc": "2.0", "id": 1, "result": result}),
                    Err((code, message)) => {
                        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}})
                    }
                };
                let (body, head) = (body.to_string(), "HTTP/1.1 200 OK\r\nConnection: close");
                let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        Upstream::new(&url).expect("a URL")
    }

    /// The genesis' hash, rules, and two blocks in RLP.
    fn chain() -> (Head, Rules, Vec<String>) {
        let (genesis, files) = demo_chain(1, 2, genesis::header).expect("generates");
        let hash = genesis::header(&genesis).hash_slow();
        let rlp = files.iter().map(|file| raw_block(file, |_| {}));
        (Head { number: 0, hash }, Rules::new(genesis.config.clone()), rlp.collect())
    }

    /// Encodes the block of a file, after a change of its header.
    fn raw_block(file: &BlockFile, change: impl FnOnce(&mut Header)) -> String {
        let signed = file.transactions().expect("whole transactions");
        let body = BlockBody {
            transactions: signed.iter().map(|it| it.inner.inner().clone()).collect(),
            ommers: Vec::new(),
            withdrawals: file.block.withdrawals.clone(),
        };
        let mut header = file.block.header.inner.clone();
        change(&mut header);
        hex::encode_prefixed(alloy_rlp::encode(Block { header, body }))
    }

    fn first(upstream: Upstream, head: Head, rules: Rules) -> Result<ChainBlock, FollowError> {
        let pause = Duration::from_millis(1);
        let fetched =
            Fetched::start(Arc::new(upstream), rules, head, pause, report).expect("a thread");
        fetched.blocks.recv_timeout(Duration::from_secs(60)).expect("a block or an error")
    }

    #[test]
    fn every_reason_for_which_a_node_is_not_followed() {
        let (head, rules, rlp) = chain();
        let id = format!("{:#x}", rules.chain_id());
        let of = |method: &'static str, other: Result<Value, (i32, &'static str)>| {
            let (id, rlp) = (id.clone(), rlp[0].clone());
            let upstream = node(move |called| match called {
                _ if called == method => other.clone(),
                "eth_chainId" => Ok(json!(id)),
                "eth_blockNumber" => Ok(json!("0x1")),
                "eth_getBlockByNumber" => Ok(json!({"hash": head.hash})),
                _ => Ok(json!(rlp)),
            });
            first(upstream, head, rules.clone())
        };
        let block = of("none", Ok(Value::Null)).expect("all is right");
        assert_eq!(block.block.env.number, U256::from(1));
        let mut made = Made::default();
        let wrong = json!({"hash": B256::repeat_byte(7)});
        for (method, answer, words) in [
            ("eth_chainId", Ok(json!("0x5")), "chain id 5"),
            ("eth_getBlockByNumber", Ok(wrong), "0x0707"),
            // The second block does not follow the genesis.
            ("debug_getRawBlock", Ok(json!(rlp[1])), "--undo-blocks"),
            ("debug_getRawBlock", Ok(json!("0xc180")), "block 1"),
            ("debug_getRawBlock", Ok(json!(7)), "cannot be read"),
            ("debug_getRawBlock", Err((-32_601, "no such method")), "no such method"),
        ] {
            let error = of(method, answer).expect_err("it is wrong");
            assert!(!error.to_string().contains("secret"), "{error}");
            made.add(&error, &["http://127.0.0.1:", words]);
        }
        made.add(&FollowError::Thread(io::Error::other("none left")), &["none left"]);
        made.has_all_of(include_str!("follow.rs"), "FollowError", &[]);
    }

    #[test]
    fn a_node_that_is_behind_or_fails_is_asked_again() {
        let (head, rules, rlp) = chain();
        let id = format!("{:#x}", rules.chain_id());
        let asked = Mutex::new(0);
        let upstream = node(move |called| {
            let mut asked = asked.lock().expect("no panic holds it");
            *asked += 1;
            match (called, *asked) {
                ("eth_chainId", _) => Ok(json!(id)),
                // It lacks the chain's last block, then has no later one, then fails.
                ("eth_getBlockByNumber", ..5) => Ok(Value::Null),
                ("eth_getBlockByNumber", _) => Ok(json!({"hash": head.hash})),
                ("eth_blockNumber", ..10) => Ok(json!("0x0")),
                ("eth_blockNumber", _) => Ok(json!("0x1")),
                (_, ..16) => Err((-32_000, "not now")),
                _ => Ok(json!(rlp[0])),
            }
        });
        let origin = upstream.origin().to_owned();
        let block = first(upstream, head, rules).expect("a block in the end");
        assert_eq!(block.block.parent_hash, head.hash);
        let reports = REPORTS.lock().expect("no panic holds it");
        let reports: Vec<_> = reports.iter().filter(|it| it.starts_with(&origin)).collect();
        let answers = format!("{origin} answers again");
        let lacks = format!("{origin}: it does not have this chain's last block 0; trying again");
        let fails = format!("{origin}: not now; trying again");
        assert_eq!(reports, [&lacks, &answers, &fails, &answers], "each is told once");
    }

    /// The writer computes the root after the execution has returned, and no further block comes.
    #[test]
    fn another_state_root_of_the_last_block_ends_the_follower() {
        let (genesis, files) = demo_chain(1, 1, genesis::header).expect("generates");
        let (header, id) = (genesis::header(&genesis), genesis.config.chain_id);
        let head = Head { number: 0, hash: header.hash_slow() };
        let store = MemoryStore::new();
        let encoded = genesis::encode(&genesis).expect("encodes");
        create(&store, &encoded, &genesis::batch(&genesis, head), StateRoots::Computed)
            .expect("a chain");
        let rlp = raw_block(&files[0], |header| header.state_root = B256::repeat_byte(7));
        let upstream = node(move |called| {
            Ok(match called {
                "eth_chainId" => json!(format!("{id:#x}")),
                "eth_blockNumber" => json!("0x1"),
                "eth_getBlockByNumber" => json!({"hash": head.hash}),
                _ => json!(rlp),
            })
        });
        let node = Node::open(store, NodeConfig::default()).expect("opens");
        let mut follower = Follower::new(node, upstream);
        let pause = Duration::from_millis(10);
        let ran = follower.run(pause, &crossbeam_channel::never(), &mut (), report);
        let error = ran.expect_err("the root is wrong").to_string();
        assert!(error.contains("block 1") && error.contains("0x0707"), "{error}");
    }

    /// The node that a follower asks; `None` while it is gone.
    type Asked = Arc<Mutex<Option<Client>>>;

    /// Starts a server that passes requests on to `asked`.
    fn serving(asked: &Asked) -> Upstream {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", server.local_addr().expect("bound"));
        let asked = Arc::clone(asked);
        thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.expect("connects");
                let body = body(&mut stream);
                let asked = asked.lock().expect("no panic holds it");
                let Some(client) = &*asked else { continue };
                let (_, body) = client.exchange(body.into()).expect("UTF-8");
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length";
                let _ = write!(stream, "{head}: {}\r\n\r\n{body}", body.len());
            }
        });
        Upstream::new(&url).expect("a URL")
    }

    fn start() -> MemoryStore {
        // Without the contracts for requests, Prague's blocks cannot be imported.
        begun_as(StateRoots::Computed, |genesis| genesis.config.prague_time = None)
    }

    /// Makes a node with a block for each of these senders.
    fn producer(senders: &[u8]) -> Node<MemoryStore> {
        let mut node = testing::node(&start(), NodeConfig::default());
        for (at, sender) in senders.iter().enumerate() {
            let nonce = senders[..at].iter().filter(|it| *it == sender).count() as u64;
            node.shared().send(payment(*sender, nonce, 10_000_000_000)).expect("admitted");
            node.step(10 + at as u64).expect("works").expect("made");
        }
        node.chain().flush().expect("durable");
        node.shared().show();
        node
    }

    fn set(asked: &Asked, node: Option<&Node<MemoryStore>>) {
        let client = node.map(|node| Client::new(&node.shared(), Limits::default()));
        *asked.lock().expect("no panic holds it") = client;
    }

    fn until(is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never happens");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn blocks_that_the_followed_node_replaces_are_unwound() {
        let asked = Asked::default();
        let upstream = serving(&asked);
        let node = testing::node(&start(), NodeConfig::default());
        let shared = node.shared();
        let mut follower = Follower::new(node, upstream);
        let first = producer(&[0, 1, 2]);
        set(&asked, Some(&first));
        let (stop, stopped) = crossbeam_channel::bounded(0);
        thread::scope(|scope| {
            let pause = Duration::from_millis(2);
            let running = scope.spawn(move || follower.run(pause, &stopped, &mut (), report));
            let has = |node: &Node<MemoryStore>| {
                until(|| shared.view().head.hash == node.chain().head().hash);
                let hash = shared.block(1).expect("reads").map(|block| block.hash);
                assert_eq!(hash, node.shared().block(1).expect("reads").map(|block| block.hash));
            };
            let counts = || shared.usage().read().follow.expect("it follows");
            has(&first);
            until(|| counts().is_answering);
            assert_eq!((counts().behind, counts().unwound), (0, 0));
            // As many blocks, of which the last two differ.
            let other = producer(&[0, 3, 4]);
            set(&asked, Some(&other));
            has(&other);
            assert_eq!(counts().unwound, 2);
            // While the node is gone, what is there is served.
            set(&asked, None);
            until(|| !counts().is_answering);
            assert_eq!(shared.view().head.hash, other.chain().head().hash);
            // More blocks, all of which differ.
            let longer = producer(&[5, 5, 5, 5, 5, 5]);
            set(&asked, Some(&longer));
            has(&longer);
            assert_eq!((counts().behind, counts().unwound), (0, 5));
            assert!(counts().is_answering && shared.behind().is_none());
            drop(stop);
            let head = running.join().expect("no panic").expect("stopped");
            assert_eq!(head, longer.chain().head());
        });
    }

    #[test]
    fn more_blocks_than_can_be_unwound_end_the_follower() {
        let asked = Asked::default();
        let upstream = serving(&asked);
        let mut config = NodeConfig::default();
        config.chain.keep = Keep::blocks(1);
        let mut follower = Follower::new(testing::node(&start(), config), upstream);
        let (first, other) = (producer(&[0, 1, 2]), producer(&[0, 3, 4, 5]));
        set(&asked, Some(&first));
        let (stop, stopped) = crossbeam_channel::bounded::<Infallible>(0);
        let shared = follower.node().shared();
        thread::scope(|scope| {
            let pause = Duration::from_millis(2);
            let running = scope.spawn(move || follower.run(pause, &stopped, &mut (), report));
            until(|| shared.view().head.number() == 3);
            set(&asked, Some(&other));
            until(|| running.is_finished());
            let error = running.join().expect("no panic").expect_err("it cannot go on");
            let text = error.to_string();
            assert!(text.contains("--undo-blocks"), "{text}");
            assert_eq!(shared.view().head.hash, first.chain().head().hash);
            // Here, so that the thread ends if an assertion fails.
            drop(stop);
        });
    }

    #[test]
    fn the_last_common_block_is_found_at_any_depth() {
        let other = producer(&[0; 20]);
        let asked = Asked::default();
        let upstream = serving(&asked);
        set(&asked, Some(&other));
        let hash = |number| other.shared().block(number).expect("reads").map(|block| block.hash);
        for common in 0..20 {
            let ours = |number| if number > common { Some(B256::ZERO) } else { hash(number) };
            let found = last_common(&upstream, (0, 20), ours).expect("answers");
            assert_eq!(found, Some(common));
        }
        let found = last_common(&upstream, (0, 20), |_| Some(B256::ZERO)).expect("answers");
        assert_eq!(found, None);
        set(&asked, None);
        let error = last_common(&upstream, (0, 20), hash).expect_err("it is gone");
        assert!(error.may_pass(false), "{error}");
    }

    #[test]
    fn attempts_are_ever_further_apart() {
        let pause = Duration::from_millis(500);
        let waits = [0, 1, 2, 3, 40].map(|failures| patience(pause, failures).as_millis());
        assert_eq!(waits, [500, 500, 1_000, 2_000, 30_000]);
        assert_eq!(patience(Duration::from_secs(60), 9), Duration::from_secs(60));
    }
}
