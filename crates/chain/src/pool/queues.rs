//! The queues of all senders, ordered for handing out and for eviction.

use super::{
    account::SenderAccount,
    config::{PoolConfig, PoolStatus},
    error::PoolError,
    queue::{Entry, Fees, Queue, ReadyKey, Worth},
    transaction::PoolTransaction,
};
use alloy_primitives::{Address, B256, U256};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// All transactions of a pool.
#[derive(Debug)]
pub(super) struct Queues {
    pub(super) config: PoolConfig,
    /// Number of the block after which the accounts were read.
    head: u64,
    /// Fees of the next block.
    pub(super) fees: Fees,
    pub(super) senders: HashMap<Address, Queue>,
    by_hash: HashMap<B256, (Address, u64)>,
    /// Senders whose next transaction can be handed out.
    ready: BTreeSet<ReadyKey>,
    /// Senders in `ready`, by the gas limit of the next transaction, to find out at once whether
    /// any transaction fits.
    gas_limits: BTreeSet<(u64, Address)>,
    /// The last transaction of each sender, least valuable first.
    pub(super) tails: BTreeSet<(Worth, Address)>,
    pub(super) bytes: usize,
    arrivals: u64,
    /// Senders whose transactions the block being filled omits.
    left_out: HashSet<Address>,
    /// Next nonce of senders that were handed out in this block and whose queue was empty
    /// afterwards.
    handed: HashMap<Address, u64>,
    /// Number of ready senders that searches skipped because their transaction did not fit.
    #[cfg(test)]
    pub(super) passed_by: usize,
}

impl Queues {
    pub(super) fn new(config: PoolConfig, head: u64, base_fee: u128) -> Self {
        Self {
            config,
            head,
            fees: Fees { base: base_fee, blob: 0 },
            senders: HashMap::new(),
            by_hash: HashMap::new(),
            ready: BTreeSet::new(),
            gas_limits: BTreeSet::new(),
            tails: BTreeSet::new(),
            bytes: 0,
            arrivals: 0,
            left_out: HashSet::new(),
            handed: HashMap::new(),
            #[cfg(test)]
            passed_by: 0,
        }
    }

    pub(super) fn add(
        &mut self,
        tx: Arc<PoolTransaction>,
        account: SenderAccount,
        at: u64,
    ) -> Result<(), PoolError> {
        let (sender, nonce) = (tx.sender(), tx.nonce());
        let entry = Entry { tx, arrival: self.arrivals };
        for (sender, nonce) in self.check(&entry, account, at)? {
            self.remove(sender, nonce);
        }
        self.arrivals = self.arrivals.saturating_add(1);
        self.bytes = self.bytes.saturating_add(entry.tx.bytes());
        self.by_hash.insert(entry.tx.hash(), (sender, nonce));
        let next = self.handed.get(&sender).copied().unwrap_or(account.nonce);
        let queue = self.senders.entry(sender);
        let queue = queue.or_insert_with(|| Queue { next, ..Queue::new(account) });
        if let Some(old) = queue.insert(entry) {
            self.forget(&old);
        }
        self.refresh(sender);
        Ok(())
    }

    /// Checks whether `tx` would be added now.
    pub(super) fn would_add(
        &self,
        tx: &Arc<PoolTransaction>,
        account: SenderAccount,
        at: u64,
    ) -> Result<(), PoolError> {
        let entry = Entry { tx: Arc::clone(tx), arrival: self.arrivals };
        self.check(&entry, account, at).map(drop)
    }

    /// Checks whether `entry` may be added, and returns the transactions to evict, by sender and
    /// nonce.
    fn check(
        &self,
        entry: &Entry,
        account: SenderAccount,
        at: u64,
    ) -> Result<Vec<(Address, u64)>, PoolError> {
        if at != self.head && !mutant!(StaleTaken) {
            return Err(PoolError::Stale { at, head: self.head });
        }
        let tx = &entry.tx;
        if self.by_hash.contains_key(&tx.hash()) {
            return Err(PoolError::Known);
        }
        // For a sender with transactions, the pool's own record of the account is used.
        let fresh = Queue::new(account);
        let queue = self.senders.get(&tx.sender()).unwrap_or(&fresh);
        self.check_queue(queue, tx)?;
        let old = queue.entries.get(&tx.nonce()).map(|old| old.tx.bytes());
        self.room(queue, entry, old).ok_or(PoolError::Full)
    }

    /// Checks whether `queue` may take `tx`, except for the pool's total size.
    fn check_queue(&self, queue: &Queue, tx: &PoolTransaction) -> Result<(), PoolError> {
        let (found, next) = (tx.nonce(), queue.account.nonce);
        if queue.account.is_contract {
            return Err(PoolError::Contract(tx.sender()));
        }
        if found < next && !mutant!(OldNonceTaken) {
            return Err(PoolError::NonceLow { found, next });
        }
        let limit = self.config.max_per_sender;
        // This also limits the number of transactions in a queue.
        if found.saturating_sub(next) >= limit && !mutant!(FarNonceTaken) {
            let is_full = queue.gap().saturating_sub(next) >= limit;
            return Err(match is_full && !mutant!(FullQueueUntold) {
                true => PoolError::SenderFull { limit },
                false => PoolError::NonceHigh { found, next, limit },
            });
        }
        let old = queue.entries.get(&found).map(|old| &old.tx);
        if let Some(old) = old {
            self.check_replacement(old, tx)?;
        }
        let others = old.map_or(queue.cost, |old| queue.cost.saturating_sub(old.cost()));
        let others = if mutant!(OthersFree) { U256::ZERO } else { others };
        let (cost, balance) = (others.saturating_add(tx.cost()), queue.account.balance);
        if cost > balance {
            return Err(PoolError::Funds { balance, cost });
        }
        Ok(())
    }

    fn check_replacement(
        &self,
        old: &PoolTransaction,
        tx: &PoolTransaction,
    ) -> Result<(), PoolError> {
        let percent = match old.max_blob_fee().or(tx.max_blob_fee()) {
            None => self.config.replacement_percent,
            Some(_) => self.config.blob_replacement_percent,
        };
        let percent = u128::from(percent);
        // At least one more, and at least this percentage more, rounded up.
        let raised = |fee: u128| {
            let by = fee.saturating_mul(percent).div_ceil(100).max(1);
            fee.saturating_add(by)
        };
        let (max_fee, tip) = (raised(old.max_fee()), raised(old.max_tip()));
        let pays = tx.max_fee() >= max_fee && tx.max_tip() >= tip;
        if !pays && !mutant!(ReplacedForLess) {
            return Err(PoolError::Replacement { max_fee, tip });
        }
        match old.max_blob_fee().map(raised) {
            Some(fee) if !tx.pays_for_blobs(fee) => Err(PoolError::BlobReplacement { fee }),
            _ => Ok(()),
        }
    }

    /// Removes a transaction from the pool.
    pub(super) fn remove(&mut self, sender: Address, nonce: u64) {
        let removed = self.senders.get_mut(&sender).and_then(|queue| queue.remove(nonce));
        if let Some(entry) = removed {
            self.forget(&entry);
        }
        self.refresh(sender);
    }

    /// Removes a transaction that has left its queue from the other maps.
    fn forget(&mut self, entry: &Entry) {
        self.by_hash.remove(&entry.tx.hash());
        if !mutant!(BytesKept) {
            self.bytes = self.bytes.saturating_sub(entry.tx.bytes());
        }
    }

    /// Updates the entries of a sender in the orders, after a change of its queue or of the
    /// transaction to hand out next.
    fn refresh(&mut self, sender: Address) {
        let worth_fees = self.fees_of_worth();
        let is_sender_kept = mutant!(SenderKept);
        let Some(queue) = self.senders.get_mut(&sender) else { return };
        if let Some(ready) = queue.ready.take() {
            self.ready.remove(&ready);
            self.gas_limits.remove(&(ready.3, sender));
        }
        if let Some(tail) = queue.tail.take() {
            self.tails.remove(&(tail, sender));
        }
        let Some((nonce, last)) = queue.entries.last_key_value() else {
            if queue.next > queue.account.nonce {
                self.handed.insert(sender, queue.next);
            }
            if !is_sender_kept {
                self.senders.remove(&sender);
            }
            return;
        };
        let tail = queue.worth(*nonce, last, worth_fees);
        queue.tail = Some(tail);
        self.tails.insert((tail, sender));
        if self.left_out.contains(&sender) {
            return;
        }
        let next = queue.entries.get(&queue.next);
        let ready = next.and_then(|Entry { tx, arrival }| {
            Some((Reverse(self.fees.tip(tx)?), *arrival, sender, tx.env().gas_limit))
        });
        queue.ready = ready;
        self.ready.extend(ready);
        let forgotten = mutant!(GasLimitForgotten) && queue.next > queue.account.nonce;
        let gas_limit = ready.filter(|_| !forgotten).map(|(.., gas)| (gas, sender));
        self.gas_limits.extend(gas_limit);
    }

    /// Begins to hand out transactions for a block.
    pub(super) fn begin(&mut self) {
        self.left_out.clear();
        self.handed.clear();
        for queue in self.senders.values_mut() {
            queue.next = queue.account.nonce;
        }
        self.refresh_all();
    }

    fn refresh_all(&mut self) {
        let senders: Vec<Address> = self.senders.keys().copied().collect();
        senders.into_iter().for_each(|sender| self.refresh(sender));
    }

    /// Returns the transaction with the highest tip, among each sender's next one, whose gas limit
    /// is at most `gas_left`.
    ///
    /// Transactions that do not fit keep their place in the order. This matters for a block of
    /// transactions with high limits and low gas use: only one fits at a time, and the builder asks
    /// again after each. The answer that nothing fits, which it gets as often, skips no sender.
    pub(super) fn next(&mut self, gas_left: u64) -> Option<Arc<PoolTransaction>> {
        let fits = |gas: u64| gas <= gas_left || mutant!(TooLargeHandedOut);
        self.gas_limits.first().filter(|(least, _)| fits(*least))?;
        let mut looked = self.ready.iter().enumerate();
        let (passed_by, &(.., sender, _)) = looked.find(|(_, (.., gas))| fits(*gas))?;
        self.note_passed_by(passed_by);
        let queue = self.senders.get_mut(&sender)?;
        let tx = Arc::clone(&queue.entries.get(&queue.next)?.tx);
        queue.next = queue.next.saturating_add(1);
        self.refresh(sender);
        Some(tx)
    }

    #[cfg(test)]
    const fn note_passed_by(&mut self, senders: usize) {
        self.passed_by = self.passed_by.saturating_add(senders);
    }

    #[cfg(not(test))]
    const fn note_passed_by(&self, _: usize) {}

    /// Leaves `tx`, and all later transactions of its sender, out of the block. Removes `tx` from
    /// the pool if it is invalid by itself, and not only because an earlier one was left out.
    pub(super) fn skipped(&mut self, tx: &PoolTransaction, is_invalid: bool) {
        let sender = tx.sender();
        let is_first = self.left_out.insert(sender);
        let is_there = self.by_hash.get(&tx.hash()) == Some(&(sender, tx.nonce()));
        if is_invalid && is_first && is_there && !mutant!(InvalidKept) {
            self.remove(sender, tx.nonce());
        } else {
            self.refresh(sender);
        }
    }

    /// Updates the pool after the new block `head`; `changed` are accounts after it.
    pub(super) fn applied(
        &mut self,
        head: u64,
        base_fee: u128,
        changed: impl IntoIterator<Item = (Address, SenderAccount)>,
    ) {
        (self.head, self.fees.base) = (head, base_fee);
        for (sender, account) in changed {
            if let Some(queue) = self.senders.get_mut(&sender) {
                queue.account = account;
            }
            while let Some(nonce) = self.unfit(&sender) {
                self.remove(sender, nonce);
            }
        }
        self.begin();
    }

    /// Returns the nonce of a transaction that is in a block, or that its sender cannot send or pay
    /// for any more.
    fn unfit(&self, sender: &Address) -> Option<u64> {
        let queue = self.senders.get(sender)?;
        let (first, last) = (queue.entries.first_key_value(), queue.entries.last_key_value());
        let is_in_block = |nonce: &u64| *nonce < queue.account.nonce && !mutant!(MinedKept);
        if let Some(first) = first.map(|(nonce, _)| *nonce).filter(is_in_block) {
            return Some(first);
        }
        let unpaid = queue.cost > queue.account.balance && !mutant!(UnpaidKept);
        let unfit = unpaid || queue.account.is_contract;
        last.map(|(nonce, _)| *nonce).filter(|_| unfit)
    }

    /// Fees at which transactions are valued.
    pub(super) fn fees_of_worth(&self) -> Fees {
        if mutant!(BaseFeeIgnored) { Fees { base: 0, ..self.fees } } else { self.fees }
    }

    /// Sets the price of blob gas in the next block, for [`applied`](Self::applied).
    pub(super) const fn set_blob_fee(&mut self, fee: u128) {
        self.fees.blob = fee;
    }

    /// Whether a full pool evicts a transaction worth `least` for one worth `newcomer`.
    pub(super) fn is_given_up(&self, least: Worth, newcomer: Worth) -> bool {
        least < newcomer || mutant!(WorthIgnored)
    }

    /// Number of transactions in the pool.
    pub(super) fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub(super) fn get(&self, hash: &B256) -> Option<Arc<PoolTransaction>> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        let entry = self.senders.get(sender)?.entries.get(nonce)?;
        Some(Arc::clone(&entry.tx))
    }

    pub(super) fn transactions(&self) -> Vec<(Arc<PoolTransaction>, bool)> {
        let mut senders: Vec<_> = self.senders.iter().collect();
        senders.sort_unstable_by_key(|(sender, _)| **sender);
        let each = senders.into_iter().flat_map(|(_, queue)| {
            let gap = queue.gap();
            let entries = queue.entries.iter();
            entries.map(move |(nonce, entry)| (Arc::clone(&entry.tx), *nonce < gap))
        });
        each.collect()
    }

    pub(super) fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.senders.get(sender).map(Queue::gap)
    }

    /// Whether fees alone keep some sender's next transaction out of the next block, and the
    /// transaction pays the base fee `least`.
    pub(super) fn waits_for_base_fee(&self, least: u128) -> bool {
        let priced_out = |queue: &Queue| {
            let next = queue.entries.get(&queue.account.nonce);
            let waits = |tx: &PoolTransaction| self.fees.tip(tx).is_none();
            next.is_some_and(|entry| waits(&entry.tx) && entry.tx.max_fee() >= least)
        };
        self.senders.values().any(priced_out)
    }

    pub(super) fn status(&self) -> PoolStatus {
        PoolStatus {
            transactions: self.len(),
            bytes: self.bytes,
            senders: self.senders.len(),
            ready: self.ready.len(),
        }
    }
}
