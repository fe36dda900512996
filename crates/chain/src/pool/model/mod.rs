//! Compares the pool with a plain one: a list that is searched each time.
//!
//! Both receive the same transactions, blocks and queries, and must return the same answers, hold
//! the same transactions, and stay within their limits. Each seeded bug must be detected. The tests
//! and a fuzz target draw the transactions, blocks and queries.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "for tests only")]

use super::{
    account::SenderAccount,
    config::PoolConfig,
    error::PoolError,
    queues::Queues,
    transaction::{Admission, PoolTransaction, SignedTransaction},
};
use alloy_consensus::{Signed, TxEip1559};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use revm::{
    context::{BlockEnv, CfgEnv},
    primitives::hardfork::SpecId,
};
use std::{collections::BTreeMap, fmt::Debug, mem::discriminant, sync::Arc};

/// Number of senders.
pub const SENDERS: u8 = 3;

fn limits() -> PoolConfig {
    PoolConfig {
        max_transactions: 6,
        max_bytes: 18_000,
        max_per_sender: 4,
        replacement_percent: 10,
        ..PoolConfig::default()
    }
}

fn address(sender: u8) -> Address {
    Address::repeat_byte(sender + 1)
}

/// A transaction in a few numbers.
#[derive(Clone, Copy, Debug)]
pub struct Short {
    /// Number of the sender, below [`SENDERS`].
    pub sender: u8,
    /// Nonce.
    pub nonce: u64,
    /// Maximum fee per gas; at least the tip.
    pub max_fee: u128,
    /// Maximum tip per gas.
    pub tip: u128,
    /// Gas limit above 150,000, in thousands.
    pub gas: u64,
    /// Value in wei.
    pub value: u64,
    /// Length of the input in bytes.
    pub input: usize,
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
pub type Account = (u64, u64);

fn account((nonce, balance): Account) -> SenderAccount {
    let balance = U256::from(balance) * U256::from(50_000);
    SenderAccount { nonce, balance, is_contract: false }
}

/// A call of the pool.
#[derive(Clone, Debug)]
pub enum Act {
    /// Adds a transaction. The account is the sender's, unless the pool already knows it. The flag
    /// says whether it was read before the pool's last block.
    Add(Short, Account, bool),
    /// Begins to fill a block.
    Begin,
    /// Takes a transaction for the block. The remaining gas decreases by the number, in units of
    /// 60,000 gas, or is reset if the flag is set. The transaction is then left out of the block:
    /// as invalid (`Some(true)`), for lack of room (`Some(false)`), or not at all (`None`).
    Next(u64, bool, Option<bool>),
    /// Removes the transaction of a sender with this nonce, if the pool has it.
    Remove(u8, u64),
    /// Adds a block to the chain, which changed these accounts. The next block has this base fee.
    Applied(u128, BTreeMap<u8, Account>),
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
    fn act(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Add(short, holder, is_old) => {
                let (tx, holder) = (short.transaction(), account(*holder));
                let at = self.head - u64::from(*is_old);
                let before = self.pool.would_add(&tx, holder, at);
                let found = self.pool.add(Arc::clone(&tx), holder, at);
                let right = match is_old {
                    true => Err(PoolError::Stale { at, head: self.head }),
                    false => self.plain.add(&tx, holder),
                };
                let kind = |it: &Result<(), PoolError>| it.as_ref().map_err(discriminant).copied();
                same("what was announced", &found, &before)?;
                let reason = format!("admission: {found:?} or {right:?}");
                same(&reason, &kind(&found), &kind(&right))?;
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
                let hash = |tx: &Arc<PoolTransaction>| tx.hash();
                same("next", &found.as_ref().map(hash), &right.as_ref().map(hash))?;
                if let (Some(tx), Some(is_invalid)) = (found, left_out) {
                    self.pool.skipped(&tx, *is_invalid);
                    self.plain.skipped(&tx, *is_invalid);
                }
            }
            Act::Remove(sender, nonce) => {
                self.pool.remove(address(*sender), *nonce);
                let is_it =
                    |tx: &PoolTransaction| (tx.sender(), tx.nonce()) == (address(*sender), *nonce);
                self.plain.held.retain(|(_, tx)| !is_it(tx));
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

    fn compare(&self) -> Result<(), String> {
        let (status, limits) = (self.pool.status(), limits());
        let (count, bytes) = self.plain.count_and_bytes();
        same("size", &(status.transactions, status.bytes), &(count, bytes))?;
        let senders = (0..SENDERS).map(address).filter(|it| !self.plain.of(*it).is_empty());
        same("senders", &status.senders, &senders.clone().count())?;
        if bytes > limits.max_bytes || count > limits.max_transactions {
            return Err(format!("{count} transactions with {bytes} bytes"));
        }
        let gap = |sender| self.plain.gap(sender, self.plain.accounts[&sender].nonce);
        let mut all = Vec::new();
        for sender in senders {
            let own = self.plain.of(sender).into_iter();
            all.extend(own.map(|(_, tx)| (tx.hash(), tx.nonce() < gap(sender))));
        }
        let found = self.pool.transactions().into_iter().map(|(tx, is_next)| (tx.hash(), is_next));
        same("transactions", &found.collect(), &all)?;
        for (hash, _) in all {
            same("transaction by hash", &self.pool.get(&hash).map(|tx| tx.hash()), &Some(hash))?;
        }
        for sender in (0..SENDERS).map(address) {
            let right = (!self.plain.of(sender).is_empty()).then(|| gap(sender));
            same("next nonce", &self.pool.next_nonce(&sender), &right)?;
        }
        Ok(())
    }
}

fn same<T: PartialEq + Debug>(what: &str, found: &T, right: &T) -> Result<(), String> {
    if found == right { Ok(()) } else { Err(format!("{what}: {found:?} instead of {right:?}")) }
}

/// Calls the pool and the plain one, and compares them after each call.
///
/// # Errors
/// Returns the first difference.
pub fn try_all(acts: &[Act]) -> Result<(), String> {
    let pool = Queues::new(limits(), 1, 0);
    let mut both = Both { pool, plain: Plain::default(), head: 1, gas_left: 500_000 };
    both.pool.begin();
    acts.iter().try_for_each(|act| both.act(act))
}

#[cfg(test)]
mod tests;
