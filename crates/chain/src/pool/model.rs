//! Compares the pool with a plain one: a list that is searched each time.
//!
//! Both receive the same transactions, blocks and queries, and must return the same answers, hold
//! the same transactions, and stay within their limits. Each seeded bug must be detected.

use super::{
    account::SenderAccount,
    config::PoolConfig,
    error::PoolError,
    queues::Queues,
    transaction::{Admission, PoolTransaction, SignedTransaction},
};
use crate::mutants::{Bug, with_bug};
use alloy_consensus::{Signed, TxEip1559};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use proptest::{
    collection,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use revm::{
    context::{BlockEnv, CfgEnv},
    primitives::hardfork::SpecId,
};
use std::{collections::BTreeMap, mem::discriminant, sync::Arc};

const SENDERS: u8 = 3;

fn limits() -> PoolConfig {
    PoolConfig {
        max_transactions: 6,
        max_bytes: 18_000,
        max_per_sender: 4,
        replacement_percent: 10,
    }
}

fn address(sender: u8) -> Address {
    Address::repeat_byte(sender + 1)
}

/// A transaction in a few numbers.
#[derive(Clone, Copy, Debug)]
struct Short {
    sender: u8,
    nonce: u64,
    max_fee: u128,
    tip: u128,
    gas: u64,
    value: u64,
    input: usize,
}

impl Short {
    fn transaction(self) -> Arc<PoolTransaction> {
        let tx = TxEip1559 {
            chain_id: 1,
            nonce: self.nonce,
            gas_limit: 150_000 + self.gas * 1_000,
            max_fee_per_gas: self.max_fee.max(self.tip),
            max_priority_fee_per_gas: self.tip,
            to: TxKind::Call(address(self.sender)),
            value: U256::from(self.value),
            input: Bytes::from(vec![0; self.input]),
            ..TxEip1559::default()
        };
        let signed = Signed::new_unhashed(tx, Signature::test_signature());
        let cfg = CfgEnv::new_with_spec(SpecId::PRAGUE);
        let admission = Admission::new(cfg, BlockEnv::default());
        PoolTransaction::new(SignedTransaction::Eip1559(signed), address(self.sender), &admission)
            .expect("a valid transaction")
    }
}

/// An account: nonce, and balance in hundredths of the cost of the most expensive transaction.
type Account = (u64, u64);

fn account((nonce, balance): Account) -> SenderAccount {
    let balance = U256::from(balance) * U256::from(50_000);
    SenderAccount { nonce, balance, is_contract: false }
}

#[derive(Clone, Debug)]
enum Act {
    /// Adds a transaction. The account is the sender's, unless the pool already knows it. The flag
    /// says whether it was read before the pool's last block.
    Add(Short, Account, bool),
    /// Begins to fill a block.
    Begin,
    /// Takes a transaction for the block. The remaining gas decreases by the number, in units of
    /// 60,000 gas, or is reset if the flag is set. The transaction is then left out of the block:
    /// as invalid (`Some(true)`), for lack of room (`Some(false)`), or not at all (`None`).
    Next(u64, bool, Option<bool>),
    /// Adds a block to the chain, which changed these accounts. The next block has this base fee.
    Applied(u128, BTreeMap<u8, Account>),
}

fn short() -> impl Strategy<Value = Short> {
    let (input, gas) = (prop_oneof![Just(0), Just(2_000)], 0_u64..4);
    (0..SENDERS, 0_u64..6, 1_u128..30, 1_u128..30, gas, 0_u64..3, input).prop_map(
        |(sender, nonce, max_fee, tip, gas, value, input)| Short {
            sender,
            nonce,
            max_fee,
            tip,
            gas,
            value,
            input,
        },
    )
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // Three of four accounts can pay for all their transactions.
    let balance = prop_oneof![3 => Just(1_000_u64), 1 => 0_u64..300];
    let account = (0_u64..4, balance);
    let add = (short(), account.clone(), prop::bool::weighted(0.05));
    let changed = collection::btree_map(0..SENDERS, account, 0..3);
    let act = prop_oneof![
        8 => add.prop_map(|(tx, account, is_old)| Act::Add(tx, account, is_old)),
        1 => Just(Act::Begin),
        5 => (0_u64..3, prop::bool::weighted(0.2), prop::option::weighted(0.2, any::<bool>()))
            .prop_map(|(less, more, left_out)| Act::Next(less, more, left_out)),
        1 => (1_u128..20, changed).prop_map(|(base_fee, changed)| Act::Applied(base_fee, changed)),
    ];
    collection::vec(act, 1..40)
}

/// A pool without any index.
#[derive(Clone, Debug, Default)]
struct Plain {
    /// Transactions, each with its position in the order of arrival.
    held: Vec<(u64, Arc<PoolTransaction>)>,
    accounts: BTreeMap<Address, SenderAccount>,
    arrivals: u64,
    base_fee: u128,
    /// Next nonce to hand out, by sender.
    handed: BTreeMap<Address, u64>,
    left_out: Vec<Address>,
}

impl Plain {
    fn of(&self, sender: Address) -> Vec<&(u64, Arc<PoolTransaction>)> {
        let mut own: Vec<_> = self.held.iter().filter(|(_, tx)| tx.sender() == sender).collect();
        own.sort_by_key(|(_, tx)| tx.nonce());
        own
    }

    fn has(&self, sender: Address, nonce: u64) -> bool {
        self.of(sender).iter().any(|(_, tx)| tx.nonce() == nonce)
    }

    fn gap(&self, sender: Address, from: u64) -> u64 {
        (from..).find(|nonce| !self.has(sender, *nonce)).expect("a gap")
    }

    fn worth(&self, arrival: u64, tx: &PoolTransaction) -> (bool, u128, i64) {
        let (sender, from) = (tx.sender(), self.accounts[&tx.sender()].nonce);
        let own = self.of(sender);
        let pays =
            |nonce| own.iter().any(|(_, it)| it.nonce() == nonce && it.max_fee() >= self.base_fee);
        let tip = tx.max_fee().checked_sub(self.base_fee).map_or(0, |most| most.min(tx.max_tip()));
        ((from..=tx.nonce()).all(pays), tip, -(arrival as i64))
    }

    fn count_and_bytes(&self) -> (usize, usize) {
        (self.held.len(), self.held.iter().map(|(_, tx)| tx.bytes()).sum())
    }

    fn add(&mut self, tx: &Arc<PoolTransaction>, account: SenderAccount) -> Result<(), PoolError> {
        let limits = limits();
        if self.held.iter().any(|(_, held)| held.hash() == tx.hash()) {
            return Err(PoolError::Known);
        }
        let sender = tx.sender();
        let known = !self.of(sender).is_empty();
        let account = if known { self.accounts[&sender] } else { account };
        let (found, next) = (tx.nonce(), account.nonce);
        if found < next {
            return Err(PoolError::NonceLow { found, next });
        }
        if found >= next + limits.max_per_sender {
            if (next..found).take(4).all(|nonce| self.has(sender, nonce)) {
                return Err(PoolError::SenderFull { limit: limits.max_per_sender });
            }
            return Err(PoolError::NonceHigh { found, next, limit: limits.max_per_sender });
        }
        let mut after = self.clone();
        if let Some((_, old)) = self.of(sender).iter().find(|(_, it)| it.nonce() == found) {
            let dear = |fee: u128, old: u128| fee * 100 >= old * 110 && fee > old;
            if !dear(tx.max_fee(), old.max_fee()) || !dear(tx.max_tip(), old.max_tip()) {
                return Err(PoolError::Replacement { max_fee: 0, tip: 0 });
            }
            after.held.retain(|(_, held)| held.hash() != old.hash());
        }
        after.held.push((self.arrivals, Arc::clone(tx)));
        after.accounts.insert(sender, account);
        after.arrivals += 1;
        let cost = after.of(sender).iter().map(|(_, tx)| tx.cost()).sum::<U256>();
        if cost > account.balance {
            return Err(PoolError::Funds { balance: account.balance, cost });
        }
        let worth = after.worth(self.arrivals, tx);
        let is_full = |plain: &Self| {
            let (count, bytes) = plain.count_and_bytes();
            count > limits.max_transactions || bytes > limits.max_bytes
        };
        while is_full(&after) {
            let others = (0..SENDERS).map(address).filter(|it| *it != sender);
            let tails = others.filter_map(|it| after.of(it).last().copied().cloned());
            let least = tails.min_by_key(|(arrival, tx)| after.worth(*arrival, tx));
            let Some((arrival, least)) = least else { return Err(PoolError::Full) };
            if after.worth(arrival, &least) > worth {
                return Err(PoolError::Full);
            }
            after.held.retain(|(_, held)| held.hash() != least.hash());
        }
        *self = after;
        Ok(())
    }

    fn begin(&mut self) {
        self.handed.clear();
        self.left_out.clear();
    }

    fn next(&mut self, gas_left: u64) -> Option<Arc<PoolTransaction>> {
        let waiting = self.held.iter().filter(|(_, tx)| {
            let sender = tx.sender();
            let next = self.handed.get(&sender).copied();
            tx.nonce() == next.unwrap_or(self.accounts[&sender].nonce)
                && !self.left_out.contains(&sender)
                && tx.env().gas_limit <= gas_left
                && tx.max_fee() >= self.base_fee
        });
        let tip = |tx: &PoolTransaction| tx.max_tip().min(tx.max_fee() - self.base_fee);
        let best = waiting.min_by_key(|(arrival, tx)| (u128::MAX - tip(tx), *arrival));
        let tx = best.map(|(_, tx)| Arc::clone(tx))?;
        self.handed.insert(tx.sender(), tx.nonce() + 1);
        Some(tx)
    }

    fn skipped(&mut self, tx: &PoolTransaction, is_invalid: bool) {
        if !self.left_out.contains(&tx.sender()) {
            self.left_out.push(tx.sender());
            self.held.retain(|(_, held)| !is_invalid || held.hash() != tx.hash());
        }
    }

    fn applied(&mut self, base_fee: u128, changed: &BTreeMap<Address, SenderAccount>) {
        self.base_fee = base_fee;
        for (sender, account) in changed {
            self.accounts.insert(*sender, *account);
            self.held.retain(|(_, tx)| tx.sender() != *sender || tx.nonce() >= account.nonce);
            while self.of(*sender).iter().map(|(_, tx)| tx.cost()).sum::<U256>() > account.balance {
                let last = self.of(*sender).last().map(|(_, tx)| tx.hash());
                self.held.retain(|(_, tx)| Some(tx.hash()) != last);
            }
        }
        self.begin();
    }
}

/// The pool, and the plain pool that it is compared with.
struct Both {
    pool: Queues,
    plain: Plain,
    head: u64,
    gas_left: u64,
}

impl Both {
    fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match act {
            Act::Add(short, holder, is_old) => {
                let (tx, holder) = (short.transaction(), account(*holder));
                let at = self.head - u64::from(*is_old);
                let found = self.pool.add(Arc::clone(&tx), holder, at);
                let right = match is_old {
                    true => Err(PoolError::Stale { at, head: self.head }),
                    false => self.plain.add(&tx, holder),
                };
                let kind = |it: &Result<(), PoolError>| it.as_ref().map_err(discriminant).copied();
                prop_assert_eq!(kind(&found), kind(&right), "{:?} {:?}", found, right);
            }
            Act::Begin => {
                self.pool.begin();
                self.plain.begin();
                self.gas_left = 500_000;
            }
            Act::Next(less, is_more, left_out) => {
                let less = less * 60_000;
                let left = if *is_more { 500_000 } else { self.gas_left.saturating_sub(less) };
                self.gas_left = left;
                let (found, right) = (self.pool.next(left), self.plain.next(left));
                prop_assert_eq!(found.as_ref().map(|tx| tx.hash()), right.map(|tx| tx.hash()));
                if let (Some(tx), Some(is_invalid)) = (found, left_out) {
                    self.pool.skipped(&tx, *is_invalid);
                    self.plain.skipped(&tx, *is_invalid);
                }
            }
            Act::Applied(base_fee, changed) => {
                let changed = changed.iter().map(|(it, holder)| (address(*it), account(*holder)));
                let changed: BTreeMap<_, _> = changed.collect();
                self.head += 1;
                self.pool.applied(self.head, *base_fee, changed.clone());
                self.plain.applied(*base_fee, &changed);
            }
        }
        self.compare()
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let (status, limits) = (self.pool.status(), limits());
        let (count, bytes) = self.plain.count_and_bytes();
        prop_assert_eq!((status.transactions, status.bytes), (count, bytes));
        let senders = (0..SENDERS).filter(|it| !self.plain.of(address(*it)).is_empty()).count();
        prop_assert_eq!(status.senders, senders);
        prop_assert!(bytes <= limits.max_bytes && count <= limits.max_transactions);
        for (_, tx) in &self.plain.held {
            prop_assert!(self.pool.get(&tx.hash()).is_some());
        }
        for sender in (0..SENDERS).map(address) {
            let is_there = !self.plain.of(sender).is_empty();
            let gap = is_there.then(|| self.plain.gap(sender, self.plain.accounts[&sender].nonce));
            prop_assert_eq!(self.pool.next_nonce(&sender), gap);
        }
        Ok(())
    }
}

fn try_all(acts: &[Act]) -> Result<(), TestCaseError> {
    let pool = Queues::new(limits(), 1, 0);
    let mut both = Both { pool, plain: Plain::default(), head: 1, gas_left: 500_000 };
    both.pool.begin();
    acts.iter().try_for_each(|act| both.act(act))
}

fn runner(cases: u32) -> TestRunner {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

proptest! {
    #[test]
    fn a_pool_answers_as_a_plain_list_does(acts in acts()) {
        try_all(&acts)?;
    }
}

#[test]
fn seeded_bugs_are_noticed() {
    for bug in Bug::POOL {
        let ran = with_bug(Some(bug), || runner(4_000).run(&acts(), |acts| try_all(&acts)));
        assert!(ran.is_err(), "{bug:?} is not noticed");
    }
}

/// A transaction of the first sender with this nonce.
fn short_at(nonce: u64) -> Arc<PoolTransaction> {
    Short { sender: 0, nonce, max_fee: 9, tip: 9, gas: 0, value: 0, input: 0 }.transaction()
}

/// Adds a transaction of a sender with sufficient balance.
fn add(pool: &mut Queues, sender: u8, nonce: u64, (max_fee, tip): (u128, u128)) {
    let tx = Short { sender, nonce, max_fee, tip, gas: 0, value: 0, input: 0 }.transaction();
    pool.add(tx, account((0, 1_000)), 1).expect("room");
}

/// A transaction of the block is evicted and added again: it must not be handed out twice.
#[test]
fn what_a_block_has_is_not_handed_out_again() {
    let mut pool = Queues::new(limits(), 1, 0);
    let next = |pool: &mut Queues| pool.next(500_000).map(|tx| (tx.sender(), tx.nonce()));
    add(&mut pool, 0, 0, (1, 1));
    pool.begin();
    assert_eq!(next(&mut pool), Some((address(0), 0)));
    for (sender, nonce) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
        add(&mut pool, sender, nonce, (20, 20));
    }
    assert_eq!(pool.next_nonce(&address(0)), None, "it gave way");
    (0..2).for_each(|nonce| add(&mut pool, 0, nonce, (29, 29)));
    assert_eq!(next(&mut pool), Some((address(0), 1)));
    // The next block has neither transaction. A search that finds nothing that fits removes nothing
    // from the order.
    pool.begin();
    let ready = pool.status().ready;
    assert!(ready > 0 && pool.next(1).is_none() && pool.status().ready == ready);
    assert_eq!(next(&mut pool), Some((address(0), 0)));
}

/// A sender is full if none of its next nonces is missing: after an unwound block, a queue may hold
/// as many transactions as a sender may have, and lack the first one.
#[test]
fn a_queue_that_lacks_its_first_nonce_is_not_full() {
    let mut pool = Queues::new(limits(), 1, 0);
    pool.add(short_at(2), account((2, 1_000)), 1).expect("room");
    (3..6).for_each(|nonce| add(&mut pool, 0, nonce, (9, 9)));
    let full = pool.would_add(&short_at(6), account((2, 1_000)), 1);
    assert!(matches!(full, Err(PoolError::SenderFull { .. })), "{full:?}");
    pool.applied(2, 0, [(address(0), account((0, 1_000)))]);
    let high = pool.would_add(&short_at(6), account((0, 1_000)), 2);
    assert!(matches!(high, Err(PoolError::NonceHigh { found: 6, next: 0, .. })), "{high:?}");
}

/// Transactions that pay more than others, but less than the base fee, fill a pool and are evicted.
#[test]
fn what_no_block_can_have_gives_way() {
    let mut pool = Queues::new(limits(), 1, 10);
    for nonce in 0..3 {
        // The sender's other transactions wait for its first one.
        add(&mut pool, 0, nonce, (9, 9));
        add(&mut pool, 1, nonce, (if nonce == 0 { 9 } else { 29 }, 9));
    }
    (0..4).for_each(|nonce| add(&mut pool, 2, nonce, (11, 1)));
    assert_eq!(pool.next_nonce(&address(2)), Some(4));
    assert_eq!(pool.status().transactions, limits().max_transactions);
}
