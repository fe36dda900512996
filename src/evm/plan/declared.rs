//! Rounds of transactions that declare their accesses. Conflicting transactions are in one batch
//! and no batch reads another's writes, so no run is aborted.

use super::partition::folding;
use super::thresholds::{BATCHES_EACH, FARTHEST, MILLISECOND_GAS, MOST_OF_FIVE, SHORT};
use super::tx::{may_fit, probable_gas};
use crate::evm::bal::declaration::{Declaration, Place};
use crate::evm::exec::input::Block;
use crate::schedule::{Joined, Lanes, Ties, lanes};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use revm::context::TxEnv;
use std::collections::VecDeque;
use std::ops::Range;

/// Declared accesses of one place so far.
enum Declared {
    /// Only reads: the first reader, and the others.
    Read(usize, Vec<usize>),
    /// The first transaction that may change it.
    Changed(usize),
}

/// Groups the transactions of a round into batches: any two that conflict are in one batch.
///
/// Exception: the last transaction is not joined with lower ones that only read what it may change.
/// Those read the state before the round and commit first. No batch has a transaction after the
/// last one, which would be aborted together with it because they share a journal.
struct Conflicts {
    joined: Joined,
    /// Weight of each batch, at the root transaction of the batch.
    weights: Vec<u64>,
    heaviest: u64,
    total: u64,
    declared: HashMap<Place, Declared, RandomState>,
    /// Lower transactions that only read what the last one may change.
    untied: Vec<usize>,
}

impl Conflicts {
    fn new() -> Self {
        Self {
            joined: Joined::new(0),
            weights: Vec::new(),
            heaviest: 0,
            total: 0,
            declared: HashMap::default(),
            untied: Vec::new(),
        }
    }

    /// Removes all transactions and keeps the memory.
    fn clear(&mut self) {
        self.joined.clear();
        self.weights.clear();
        (self.heaviest, self.total) = (0, 0);
        self.declared.clear();
        self.untied.clear();
    }

    /// Adds a transaction, which must be higher than all added before. Returns whether one of those
    /// may change a place that it declares.
    fn add(&mut self, weight: u64, declared: &Declaration) -> bool {
        let tx = self.joined.add();
        if let Some(last) = tx.checked_sub(1) {
            let mut untied = core::mem::take(&mut self.untied);
            if mutant!(DeclaredChangesUntied) {
                untied.clear();
            }
            untied.into_iter().for_each(|reader| self.join(reader, last));
        }
        self.weights.push(weight);
        self.total = self.total.saturating_add(weight);
        self.heaviest = self.heaviest.max(weight);
        let mut is_tied = false;
        for (place, may_change) in declared.places() {
            match self.declared.entry(place) {
                Entry::Vacant(entry) => {
                    let (changed, read) = (Declared::Changed(tx), Declared::Read(tx, Vec::new()));
                    entry.insert(if may_change { changed } else { read });
                }
                Entry::Occupied(mut entry) => match entry.get_mut() {
                    Declared::Changed(writer) => {
                        let writer = *writer;
                        is_tied = true;
                        if may_change || !mutant!(DeclaredReadsUntied) {
                            self.join(writer, tx);
                        }
                    }
                    Declared::Read(_, others) if !may_change => others.push(tx),
                    Declared::Read(reader, others) => {
                        self.untied.push(*reader);
                        self.untied.append(others);
                        entry.insert(Declared::Changed(tx));
                    }
                },
            }
        }
        is_tied
    }

    /// Speed-up of `workers` workers over one sequential worker, in thousandths.
    fn speed(&self, workers: usize) -> u64 {
        let longest = self.heaviest.max(self.total / workers.max(1) as u64);
        self.total.saturating_mul(1_000) / longest.saturating_add(MILLISECOND_GAS)
    }

    /// Whether most of the weight is in one batch.
    const fn is_chain(&self) -> bool {
        self.heaviest > self.total / 5 * MOST_OF_FIVE
    }

    fn join(&mut self, one: usize, other: usize) {
        let roots = [one, other].map(|tx| self.joined.root(tx));
        let [one, other] = roots;
        if one == other {
            return;
        }
        self.joined.join(one, other);
        let weight = |root: usize| self.weights.get(root).copied().unwrap_or_default();
        let both = weight(one).saturating_add(weight(other));
        if let Some(weight) = self.weights.get_mut(self.joined.root(one)) {
            *weight = both;
        }
        self.heaviest = self.heaviest.max(both);
    }
}

/// Plan for the next transactions.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::evm) enum Planned {
    /// No conflicts up to this transaction: run in contiguous batches.
    Apart(usize),
    /// Run a round of grouped batches.
    Round(Lanes),
}

/// Plans the transactions of a block, round by round.
pub(in crate::evm) struct Rounds {
    /// Probable gas and declarations of the transactions from `first` on.
    known: VecDeque<(u64, Declaration)>,
    first: usize,
    conflicts: Conflicts,
}

impl Rounds {
    pub(in crate::evm) fn new() -> Self {
        Self { known: VecDeque::new(), first: 0, conflicts: Conflicts::new() }
    }

    /// Plans the next transactions of `left` for `workers` workers, up to the first one whose gas
    /// limit alone exceeds the block's remaining gas; the block has used `used` gas so far.
    ///
    /// `begun`: number of transactions that one of the workers folds first. `shortest`: length of
    /// the shortest contiguous batch.
    pub(in crate::evm) fn plan(
        &mut self,
        block: &Block,
        left: Range<usize>,
        used: u64,
        (workers, begun): (usize, usize),
        shortest: usize,
    ) -> Planned {
        let first = left.start;
        self.known.drain(..first.saturating_sub(self.first).min(self.known.len()));
        self.first = first;
        let room = block.env.gas_limit.saturating_sub(used);
        let transactions = block.transactions.get(left).unwrap_or_default();
        let fitting = transactions.iter().take(FARTHEST);
        let fitting = fitting.take_while(|tx| may_fit(block, tx, room));
        let (apart, length) = self.look(fitting, block, workers);
        if apart >= BATCHES_EACH * workers * shortest.max(1) {
            return Planned::Apart(first + apart);
        }
        let conflicts = &mut self.conflicts;
        if length < conflicts.weights.len() {
            conflicts.clear();
            for (weight, declared) in self.known.iter().take(length) {
                conflicts.add(*weight, declared);
            }
        }
        let round = self.known.iter().take(length).enumerate();
        let ties = round.map(|(tx, (weight, _))| Ties {
            weight: *weight,
            keys: [Some(conflicts.joined.root(tx) as u64), None, None, None],
        });
        let ties: Vec<_> = ties.collect();
        let mut shared = lanes(&ties, BATCHES_EACH * workers, folding(begun));
        shared.lanes.iter_mut().flatten().for_each(|place| *place += first);
        Planned::Round(shared)
    }

    /// Returns the number of leading transactions that change nothing a higher one declares, and
    /// the length of the round with the highest speed-up.
    fn look<'b>(
        &mut self,
        fitting: impl Iterator<Item = &'b TxEnv>,
        block: &Block,
        workers: usize,
    ) -> (usize, usize) {
        let longest = SHORT * workers;
        let (mut apart, mut best, mut length) = (None, (0, 0), 0);
        self.conflicts.clear();
        for tx in fitting {
            if self.known.len() == length {
                self.known.push_back((probable_gas(block, tx), Declaration::of(tx)));
            }
            let Some((weight, declared)) = self.known.get(length) else { break };
            if self.conflicts.add(*weight, declared) {
                apart.get_or_insert(length);
            }
            length += 1;
            if length <= longest {
                best = best.max((self.conflicts.speed(workers), length));
            }
            // A chain usually stays a chain; and a round that is twice as long as the best one so
            // far has not turned out faster.
            let is_enough = length >= SHORT && (self.conflicts.is_chain() || length >= 2 * best.1);
            if apart.is_some() && (is_enough || length >= longest) {
                break;
            }
        }
        (apart.unwrap_or(length), best.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eips::eip2930::{AccessList, AccessListItem};
    use alloy_primitives::{Address, B256, TxKind};

    const CONTRACT: Address = Address::repeat_byte(0xcc);

    /// A call that may change one slot and reads another.
    fn call(sender: u64, writes: u8, reads: u8) -> TxEnv {
        let caller = Address::left_padding_from(&(1_000 + sender).to_be_bytes());
        let item = |address, slots: &[u8]| AccessListItem {
            address,
            storage_keys: slots.iter().map(|slot| B256::with_last_byte(*slot)).collect(),
        };
        let items = [item(CONTRACT, &[reads]), item(caller, &[]), item(CONTRACT, &[writes])];
        TxEnv {
            caller,
            kind: TxKind::Call(CONTRACT),
            data: vec![7].into(),
            gas_limit: 60_000,
            access_list: AccessList(items.into()),
            ..TxEnv::default()
        }
    }

    fn planned(transactions: Vec<TxEnv>, workers: usize, shortest: usize) -> Planned {
        let block = Block { transactions, ..Block::default() };
        let left = 0..block.transactions.len();
        Rounds::new().plan(&block, left, 0, (workers, 0), shortest)
    }

    fn plan(transactions: Vec<TxEnv>, workers: usize) -> Lanes {
        match planned(transactions, workers, 1_000) {
            Planned::Round(lanes) => lanes,
            Planned::Apart(end) => panic!("none conflict up to {end}"),
        }
    }

    #[test]
    fn conflicting_ones_are_in_one_lane_and_readers_are_not_tied() {
        let reads_one = [call(1, 1, 9), call(2, 2, 9), call(3, 1, 9), call(4, 4, 9)];
        let mut lanes = plan(reads_one.to_vec(), 2).lanes;
        lanes.sort();
        assert_eq!(lanes, [vec![0, 2], vec![1], vec![3]]);
    }

    #[test]
    fn who_changes_what_lower_ones_read_is_in_their_lane_or_the_last() {
        // Two transactions that read a slot, one that may change it, and many that do neither.
        let mut few = vec![call(1, 1, 9), call(2, 2, 9), call(3, 9, 8)];
        few.extend((20..80).map(|of| call(of.into(), of, 8)));
        let round = plan(few, 2);
        assert_eq!(round.lanes.iter().flatten().count(), 63);
        assert!(round.lanes.iter().any(|lane| lane.starts_with(&[0, 1, 2])), "{:?}", round.lanes);
        // If many read it, the round ends with the transaction that may change it, which is not
        // joined with them.
        let mut many: Vec<_> = (20..60).map(|of| call(of.into(), of, 9)).collect();
        many.push(call(1, 9, 8));
        many.extend((60..100).map(|of| call(of.into(), of, 9)));
        let Lanes { lanes, heaviest, total } = plan(many, 2);
        assert_eq!((lanes.iter().flatten().max(), lanes.iter().flatten().count()), (Some(&40), 41));
        assert_eq!(heaviest * 41, total);
    }

    #[test]
    fn a_round_ends_before_groups_grow_together() {
        // Sixty-four independent transactions, one that may change what they read, and some that
        // conflict with that one.
        let mut all: Vec<_> = (0..64).map(|of| call(of.into(), of, 100)).collect();
        all.push(call(100, 100, 101));
        all.extend((0..150).map(|of| call(200 + u64::from(of), 100, of)));
        assert_eq!(plan(all.clone(), 4).lanes.iter().flatten().count(), 65);
        // Without conflicts, all of them are in one round or in contiguous batches.
        let mut apart: Vec<_> = (0..250).map(|of| call(of.into(), of, 255)).collect();
        assert_eq!(plan(apart.clone(), 4).lanes.iter().flatten().count(), 250);
        assert_eq!(planned(apart.clone(), 4, 16), Planned::Apart(250));
        apart[200] = call(900, 7, 255);
        assert_eq!(planned(apart, 4, 16), Planned::Apart(200));
        // If all transactions conflict, there is one batch.
        let chain: Vec<_> = (0..250).map(|of| call(of.into(), 3, of)).collect();
        assert_eq!(plan(chain, 4).lanes.len(), 1);
    }
}
