//! A database that makes higher transactions run first.
//!
//! On a small machine a block of short transactions runs nearly in order, whatever the number of
//! workers. Here the account of one sender answers only once another transaction has asked for
//! its own sender: that one is in progress then too, and usually reads and publishes before the
//! lower one goes on. So a wrong answer gets every chance to show, and two transactions that
//! meet this way prove from outside that they ran at the same time.

use crate::hooked::{Hooked, Read};
use alloy_primitives::Address;
use braid_evm::Block;
use revm::DatabaseRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Who waits for whom, and who has come.
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
    /// A gate where each sender whose transaction has an index of `offset` modulo 2 waits for the
    /// sender of the transaction after it, but not longer than `patience`. Only a sender's first
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

    /// A gate where the senders of the first two transactions wait for each other.
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

    /// A gate where the first thread that asks for the one of a pair waits until another asks for the other.
    #[must_use]
    pub fn until<const N: usize>(waits_for: [(Address, Address); N], patience: Duration) -> Self {
        Self { waits_for: waits_for.into(), ..Self::pairs(&Block::default(), 0, patience) }
    }

    /// How often a transaction was in progress while another one began.
    pub fn met(&self) -> u64 {
        self.met.load(Ordering::SeqCst)
    }

    /// How often a thread's patience came to an end. If never, each thread that was to wait for another went on after that one
    /// had come, be it that he had come before.
    pub fn in_vain(&self) -> u64 {
        self.in_vain.load(Ordering::SeqCst)
    }

    /// How many senders wait.
    pub fn pairs_count(&self) -> usize {
        self.waits_for.len()
    }

    /// `inner`, whose accounts pass this gate, which is for one execution of one block.
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
            // The other one gets the time to run to its end.
            std::thread::sleep(HEAD_START);
        } else {
            self.in_vain.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// How long the higher transaction of a pair runs before the lower one goes on.
const HEAD_START: Duration = Duration::from_micros(150);
