//! A database that makes higher transactions run first.
//!
//! On a small machine, a block of short transactions runs nearly in order, whatever the number of
//! workers. With this database, the read of one sender's account blocks until another transaction
//! has read its own sender: that transaction is then in progress too, and usually reads and
//! publishes before the lower one goes on. This maximises the chance that a wrong result shows up,
//! and two transactions that meet in this way prove from outside that they ran concurrently.

use alloy_primitives::Address;
use braid_blocks::hooked::{Hooked, Read};
use braid_evm::Block;
use revm::DatabaseRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The pairs of accounts, and which of them have been read.
#[derive(Debug)]
pub struct Gate {
    waits_for: BTreeMap<Address, Address>,
    come: Mutex<BTreeSet<Address>>,
    one_came: Condvar,
    patience: Duration,
    met: AtomicU64,
    in_vain: AtomicU64,
}

impl Gate {
    /// Creates a gate where each sender whose transaction has an index of `offset` modulo 2 waits
    /// for the sender of the next transaction, at most `patience`. Only a sender's first
    /// transaction counts.
    #[must_use]
    pub fn pairs(block: &Block, offset: usize, patience: Duration) -> Self {
        let mut seen = BTreeSet::new();
        let first: Vec<bool> = block.transactions.iter().map(|tx| seen.insert(tx.caller)).collect();
        let pairs = block.transactions.windows(2).zip(first.windows(2)).enumerate();
        let waits_for = pairs
            .filter(|(index, (_, first))| index % 2 == offset % 2 && first.iter().all(|new| *new))
            .map(|(_, (pair, _))| (pair[0].caller, pair[1].caller))
            // The beneficiary is read before the first transaction.
            .filter(|(waiting, _)| *waiting != block.env.beneficiary)
            .collect();
        Self {
            waits_for,
            come: Mutex::default(),
            one_came: Condvar::new(),
            patience,
            met: AtomicU64::new(0),
            in_vain: AtomicU64::new(0),
        }
    }

    /// Creates a gate where the senders of the first two transactions wait for each other.
    #[must_use]
    pub fn meeting(block: &Block, patience: Duration) -> Self {
        let waits_for = match &block.transactions[..] {
            [first, second, ..] => {
                BTreeMap::from([(first.caller, second.caller), (second.caller, first.caller)])
            }
            _ => BTreeMap::new(),
        };
        Self { waits_for, ..Self::pairs(&Block::default(), 0, patience) }
    }

    /// Creates a gate where the first thread that reads the first account of a pair waits until
    /// another thread reads the second.
    #[must_use]
    pub fn until<const N: usize>(waits_for: [(Address, Address); N], patience: Duration) -> Self {
        Self { waits_for: waits_for.into(), ..Self::pairs(&Block::default(), 0, patience) }
    }

    /// Returns how often a transaction was in progress while another one began.
    pub fn met(&self) -> u64 {
        self.met.load(Ordering::SeqCst)
    }

    /// Returns how often a wait timed out. If 0, each waiting thread continued after the other
    /// account had been read, possibly before the wait.
    pub fn in_vain(&self) -> u64 {
        self.in_vain.load(Ordering::SeqCst)
    }

    /// Returns the number of waiting senders.
    pub fn pairs_count(&self) -> usize {
        self.waits_for.len()
    }

    /// Wraps `inner` so that account reads pass this gate. A gate serves one execution of one
    /// block.
    pub fn guard<D: DatabaseRef>(self: &Arc<Self>, inner: D) -> Hooked<D, D::Error> {
        let gate = Arc::clone(self);
        Hooked::watched(inner, move |read| {
            if let Read::Account(address) = read {
                gate.pass(address);
            }
        })
    }

    fn pass(&self, address: Address) {
        let Ok(mut come) = self.come.lock() else { return };
        if !come.insert(address) {
            return;
        }
        self.one_came.notify_all();
        let Some(awaited) = self.waits_for.get(&address) else { return };
        if come.contains(awaited) {
            return;
        }
        let missing = |come: &mut BTreeSet<Address>| !come.contains(awaited);
        let waited = self.one_came.wait_timeout_while(come, self.patience, missing);
        if waited.is_ok_and(|(_, end)| !end.timed_out()) {
            self.met.fetch_add(1, Ordering::SeqCst);
            // Gives the other transaction time to finish.
            std::thread::sleep(HEAD_START);
        } else {
            self.in_vain.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Head start of the higher transaction of a pair.
const HEAD_START: Duration = Duration::from_micros(150);
