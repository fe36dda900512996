//! A load test of a full pool while blocks are made: its memory does not grow, and transactions
//! that pay more than others are not lost.
//!
//! The measured process feeds a node from two threads, as fast as they can sign, and queries it for
//! the transactions sent. A third thread fills the pool with transactions of a crowd that pay less:
//! some have a nonce gap before them, some pay less than the base fee, some replace others. They
//! are evicted. `cargo xtask soak --node` runs the test for minutes; as a unit test it takes some
//! seconds, and also checks that it fails if every transaction is kept.

use crate::{
    Limits, Node, NodeConfig, Shared,
    shared::SendError,
    testing::{CROWD, Client, SENDERS, address, begun, node, payment},
};
use alloy_primitives::{Address, B256, Signature, U256};
use braid_chain::{
    MemoryStore, Snapshot, StateStore,
    pool::{PoolError, PoolTransaction, SignedTransaction},
};
use revm::DatabaseRef;
use serde_json::json;
use std::{
    env, fs,
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{scope, sleep},
    time::{Duration, Instant},
};

/// Environment variable of the measured process: number of seconds for which the pool is fed.
const SECONDS: &str = "BRAID_SOAK_SECONDS";
/// Environment variable of the measured process, set if it must keep every transaction of the pool.
const LEAK: &str = "BRAID_SOAK_LEAK";
/// Time between two blocks.
const INTERVAL: Duration = Duration::from_millis(100);
/// Number of blocks in the history.
const HISTORY: u64 = 16;
/// Maximum number of transactions in the pool.
const ROOM: usize = 1_000;
/// Maximum number of waiting transactions of a sender that pays most. All of them fit into the
/// pool.
const WAITING: u64 = 50;
/// Gas price of such a sender; `LOW_PRICE` is the maximum of the crowd.
const PRICE: u128 = 10_000_000_000;
const LOW_PRICE: u128 = 8_000_000_000;
/// Number of transactions after a nonce gap, for each sender of the crowd.
const BEHIND: u64 = 15;
/// KiB by which memory may grow between the second and the last quarter of the time.
const TOLERANCE: u64 = 5 << 10;
/// Minimum number of transactions to feed, however slow the machine: if they were kept, that would
/// be 9 MiB in the time in which memory is compared.
const LEAST: u64 = 30_000;

/// Transactions of one sender that the feeders have sent.
#[derive(Default)]
struct Sent {
    nonce: AtomicU64,
    /// Hash of the last transaction, and number of the head when it was admitted.
    last: Mutex<Option<(B256, u64)>>,
}

/// State shared by the feeders, the readers and the node.
struct Soak<S> {
    shared: Arc<Shared<S>>,
    senders: Vec<Sent>,
    refused: AtomicU64,
    asked: AtomicU64,
    /// Number of the crowd's transactions that were admitted.
    crowd: AtomicU64,
    is_over: AtomicBool,
    /// Transactions kept by the simulated leak, if enabled.
    leak: Option<Mutex<Vec<Arc<PoolTransaction>>>>,
}

impl<S: Snapshot> Soak<S> {
    fn nonce(&self, sender: u8) -> u64 {
        let account = self.shared.made().state.basic_ref(address(sender)).expect("reads");
        account.map_or(0, |account| account.nonce)
    }

    fn sent(&self) -> u64 {
        self.senders.iter().map(|sent| sent.nonce.load(SeqCst)).sum()
    }

    /// Sends the next payments of every other sender, and some transactions that must be refused.
    fn feed(&self, parity: u8) {
        while !self.is_over.load(SeqCst) {
            for sender in (parity..SENDERS).step_by(2) {
                let sent = &self.senders[usize::from(sender)];
                let nonce = sent.nonce.load(SeqCst);
                if nonce >= self.nonce(sender) + WAITING {
                    sleep(Duration::from_millis(1));
                    continue;
                }
                let hash = self.shared.send(payment(sender, nonce, PRICE));
                let hash = hash.expect("the sender can pay, and others give way");
                if let Some(leak) = &self.leak {
                    leak.lock().expect("no panic").extend(self.shared.hold().pool.get(&hash));
                }
                let head = self.shared.made().head.number();
                // In this order, a reader may see a nonce as sent too late, but not too early.
                *sent.last.lock().expect("no panic") = Some((hash, head));
                sent.nonce.store(nonce + 1, SeqCst);
                if nonce.is_multiple_of(8) {
                    self.feed_worse(sender, nonce);
                }
            }
        }
    }

    /// Sends transactions that must be refused.
    fn feed_worse(&self, sender: u8, nonce: u64) {
        let again = self.shared.send(payment(sender, nonce, PRICE));
        let far = self.shared.send(payment(sender, nonce + 1_000, PRICE));
        let poor = self.shared.send(payment(SENDERS + 1, 0, PRICE));
        let SignedTransaction::Legacy(signed) = payment(sender, nonce, PRICE) else { return };
        let broken = Signature::new(U256::MAX, U256::MAX, false);
        let broken = alloy_consensus::Signed::new_unhashed(signed.into_parts().0, broken);
        let broken = self.shared.send(SignedTransaction::Legacy(broken));
        for (at, refused) in [again, far, poor, broken].into_iter().enumerate() {
            match (at, refused) {
                (0, Err(SendError::Pool(PoolError::Known | PoolError::NonceLow { .. })))
                | (1, Err(SendError::Pool(PoolError::NonceHigh { .. })))
                | (2, Err(SendError::Pool(PoolError::Funds { .. })))
                | (3, Err(SendError::Pool(PoolError::Signature))) => {
                    self.refused.fetch_add(1, SeqCst);
                }
                (at, other) => panic!("case {at}: {other:?}"),
            }
        }
    }

    /// Fills the remaining space with transactions that blocks cannot include, and sometimes makes
    /// them includable.
    fn crowd(&self) {
        for turn in 0_u64.. {
            for sender in CROWD {
                if self.is_over.load(SeqCst) {
                    return;
                }
                let (next, behind) = (self.nonce(sender), 1 + turn % BEHIND);
                let price = LOW_PRICE / 8 * u128::from(1 + (turn + u64::from(sender)) % 8);
                let payment = match turn % 4 {
                    // The lowest base fee, which the chain does not have while its blocks are full.
                    0 => payment(sender, next, 7),
                    // Fills the gap, so that a block can include the transactions after it.
                    1 if turn % 16 == u64::from(sender) % 16 => payment(sender, next, LOW_PRICE),
                    // After a gap. If there is a transaction with this nonce, replaces it if it
                    // pays enough.
                    _ => payment(sender, next + behind, price),
                };
                match self.shared.send(payment) {
                    Ok(_) => self.crowd.fetch_add(1, SeqCst),
                    Err(SendError::Pool(
                        PoolError::Full
                        | PoolError::Replacement { .. }
                        | PoolError::Known
                        | PoolError::NonceLow { .. },
                    )) => 0,
                    Err(other) => panic!("{other:?}"),
                };
            }
            // Leaves most of the time to the feeders that pay most.
            sleep(Duration::from_millis(5));
        }
    }

    /// Queries the last transactions sent: none is missing, and no response is older than an
    /// earlier one.
    fn ask(&self, client: &Client) {
        for turn in 0_u64.. {
            if self.is_over.load(SeqCst) {
                break;
            }
            let sender = (turn % u64::from(SENDERS)) as u8;
            let sent = &self.senders[usize::from(sender)];
            let next = sent.nonce.load(SeqCst);
            let pending =
                client.result("eth_getTransactionCount", json!([address(sender), "pending"]));
            assert!(number(&pending) >= next, "{pending}, but {next} were sent");
            let Some((hash, at)) = *sent.last.lock().expect("no panic") else { continue };
            let found = client.result("eth_getTransactionByHash", json!([hash]));
            let head = client.result("eth_blockNumber", json!([]));
            assert!(!found.is_null() || number(&head) >= at + HISTORY, "{hash} was forgotten");
            if !found["blockNumber"].is_null() {
                assert!(number(&found["blockNumber"]) <= number(&head), "{found}, head {head}");
            }
            if turn.is_multiple_of(64) {
                client.result("eth_feeHistory", json!(["0x10", "latest", [10, 90]]));
                client.result("eth_getBlockByNumber", json!(["latest", true]));
            }
            self.asked.fetch_add(1, SeqCst);
        }
    }
}

fn number(quantity: &serde_json::Value) -> u64 {
    let digits = quantity.as_str().and_then(|it| it.strip_prefix("0x")).expect("a quantity");
    u64::from_str_radix(digits, 16).expect("a number")
}

/// Returns the resident memory of this process in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Makes blocks while the pool is fed. Returns the memory at each block, and how often the pool was
/// full.
fn make<S: Snapshot>(
    node: &mut Node<MemoryStore>,
    soak: &Soak<S>,
    end: Instant,
) -> (Vec<u64>, usize) {
    let (mut memory, mut full) = (Vec::new(), 0);
    while Instant::now() < end || soak.sent() < LEAST {
        let due = Instant::now() + INTERVAL;
        let held = soak.shared.hold().pool.status().transactions;
        assert!(held <= ROOM, "{held} transactions");
        full += usize::from(held == ROOM);
        node.step(0).expect("works");
        memory.push(resident());
        sleep(due.saturating_duration_since(Instant::now()));
    }
    (memory, full)
}

fn median(samples: &[u64]) -> u64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// Makes a node with a small pool, and the state of the feeders.
fn begin() -> (Node<MemoryStore>, Soak<<MemoryStore as StateStore>::Snapshot>) {
    let mut config = NodeConfig { history_blocks: HISTORY, ..NodeConfig::default() };
    config.pool.max_transactions = ROOM;
    let node = node(&begun(), config);
    let soak = Soak {
        shared: node.shared(),
        senders: (0..SENDERS).map(|_| Sent::default()).collect(),
        refused: AtomicU64::new(0),
        asked: AtomicU64::new(0),
        crowd: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        leak: env::var_os(LEAK).map(|_| Mutex::default()),
    };
    (node, soak)
}

/// Asserts that all admitted transactions are in blocks, except those that were evicted, replaced
/// or still wait.
fn ended<S: Snapshot>(soak: &Soak<S>) {
    let held = soak.shared.hold();
    assert_eq!(held.pool.status().ready, 0, "what a block can have came into one");
    for sender in 0..SENDERS {
        let nonce = soak.senders[usize::from(sender)].nonce.load(SeqCst);
        assert_eq!(soak.nonce(sender), nonce, "transactions of sender {sender}");
        assert_eq!(held.pool.next_nonce(&address(sender)), None);
    }
    let crowd: u64 = CROWD.map(|sender| soak.nonce(sender)).sum();
    let paid = held.view().state.basic_ref(Address::repeat_byte(0xbb)).expect("reads");
    assert_eq!(paid.expect("it was paid").balance, U256::from(soak.sent() + crowd));
    let counts = soak.shared.usage().read();
    let admitted = soak.crowd.load(SeqCst);
    assert_eq!(counts.admitted, soak.sent() + admitted);
    let left = counts.pool.transactions as u64;
    // Some were evicted or replaced, and some were refused as the pool was full.
    assert!(crowd > 0 && crowd + left < admitted, "{crowd} mined, {left} left of {admitted}");
    assert!(counts.refused["full"] > 0 && counts.refused["replacement"] > 0, "{counts:?}");
    println!("crowd: {admitted} admitted, {crowd} in blocks, {left} left, {:?}", counts.refused);
}

#[test]
#[ignore = "the process that is measured"]
fn child() {
    let Some(seconds) = env::var(SECONDS).ok().and_then(|it| it.parse().ok()) else { return };
    let (mut node, soak) = begin();
    let client = Client::new(&soak.shared, Limits::default());
    let end = Instant::now() + Duration::from_secs(seconds);
    let (memory, full) = scope(|scope| {
        for parity in 0..2 {
            let soak = &soak;
            scope.spawn(move || soak.feed(parity));
        }
        scope.spawn(|| soak.crowd());
        scope.spawn(|| soak.ask(&client));
        let made = make(&mut node, &soak, end);
        soak.is_over.store(true, SeqCst);
        made
    });
    while soak.shared.hold().pool.status().ready > 0 {
        node.step(0).expect("works");
    }
    ended(&soak);
    let quarter = memory.len() / 4;
    let (before, after) =
        (median(&memory[quarter..2 * quarter]), median(&memory[memory.len() - quarter..]));
    let (blocks, refused) = (soak.shared.made().head.number(), soak.refused.load(SeqCst));
    let (sent, asked, looks) = (soak.sent(), soak.asked.load(SeqCst), memory.len());
    println!(
        "{seconds} s, {blocks} blocks, {sent} transactions, {refused} refused, {asked} asked about, the pool full at \
         {full} of {looks} blocks: {before} KiB, later {after} KiB"
    );
    assert!(blocks > seconds && asked > seconds);
    assert!(10 * full > looks, "the pool was full at {full} of {looks} blocks");
    assert!(after <= before + TOLERANCE, "memory has grown by {} KiB", after - before);
}

/// Runs [`child`] in a separate process.
fn run(seconds: u64, is_leaking: bool) -> Output {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["soak::child", "--exact", "--ignored", "--nocapture"]);
    // With one arena per thread, memory that is free in an arena would count as resident.
    command.env(SECONDS, seconds.to_string()).env("MALLOC_ARENA_MAX", "1");
    if is_leaking {
        command.env(LEAK, "1");
    }
    command.output().expect("it runs")
}

#[test]
#[cfg(target_os = "linux")]
fn a_pool_that_is_fed_loses_nothing_and_takes_no_more_memory() {
    let set = env::var(SECONDS).ok().and_then(|it| it.parse().ok());
    let (fine, leaking) = scope(|scope| {
        let leaking = scope.spawn(|| run(6, true));
        (run(set.unwrap_or(6), false), leaking.join().expect("no panic"))
    });
    let said = |output: &Output| {
        let all = [output.stdout.as_slice(), &output.stderr].concat();
        String::from_utf8_lossy(&all).into_owned()
    };
    assert!(fine.status.success(), "{}", said(&fine));
    println!("{}", said(&fine));
    assert!(!leaking.status.success(), "a list that never forgets is not noticed");
    assert!(said(&leaking).contains("memory has grown"), "{}", said(&leaking));
}
