//! Rounds of transactions that declare what they access. Conflicting ones are in one batch, and no
//! batch reads what another one writes, so that no run is thrown away.

use super::partition::weight;
use super::thresholds::{BATCHES_EACH, FARTHEST_ROUND, FOLD_MICROSECONDS, NEARLY_OF_TEN, SHORT};
use super::tx::may_fit;
use crate::evm::bal::declaration::{Declaration, Place};
use crate::evm::exec::input::Block;
use crate::evm::mutants::{EvmMutant, is_evm_mutant};
use crate::schedule::{Joined, Lanes, Ties, lanes};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::ops::Range;

/// Transactions, and which of them conflict.
///
/// One that may change what lower ones only read is not tied to them: they read the state before
/// the round, and commit before it.
struct Conflicts {
    joined: Joined,
    /// The first one that may change a place.
    writers: HashMap<Place, usize, RandomState>,
    mutant: EvmMutant,
}

impl Conflicts {
    fn of(transactions: usize, mutant: EvmMutant) -> Self {
        let writers = HashMap::with_capacity_and_hasher(2 * transactions, RandomState::default());
        Self { joined: Joined::new(transactions), writers, mutant }
    }

    /// Whether a transaction that was added may change what `declared` has.
    fn is_tied(&self, declared: &Declaration) -> bool {
        declared.places().any(|(place, _)| self.writers.contains_key(&place))
    }

    /// Adds the transaction at `tx`, which comes after all that were added.
    fn add(&mut self, tx: usize, declared: &Declaration) {
        let Self { joined, writers, mutant } = self;
        for (place, may_change) in declared.places() {
            if may_change {
                joined.join(*writers.entry(place).or_insert(tx), tx);
            } else if let Some(writer) = writers.get(&place)
                && !is_evm_mutant!(*mutant, DeclaredReadsUntied)
            {
                joined.join(*writer, tx);
            }
        }
    }
}

/// How the next transactions run.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::evm) enum Planned {
    /// None of them conflict, up to this place: in batches of neighbours.
    Apart(usize),
    /// In lanes.
    Round(Lanes),
}

/// Plans the next transactions of `left` for `workers` workers, up to the first that alone has no
/// room in the block, which has used `used` gas so far.
///
/// `begun`: number of transactions that one of the workers folds first. `shortest`: transactions of
/// the shortest batch of neighbours.
pub(in crate::evm) fn plan_declared(
    block: &Block,
    left: Range<usize>,
    used: u64,
    (workers, begun): (usize, usize),
    (shortest, mutant): (usize, EvmMutant),
) -> Planned {
    let first = left.start;
    let room = block.env.gas_limit.saturating_sub(used);
    let transactions = block.transactions.get(left).unwrap_or_default().iter();
    let fitting = transactions.take(FARTHEST_ROUND).take_while(|tx| may_fit(block, tx, room));
    let longest = SHORT * workers;
    let mut declared = Vec::new();
    let (mut conflicts, mut apart) = (Conflicts::of(longest, mutant), None);
    for tx in fitting {
        let next = Declaration::of(tx);
        if apart.is_none() && conflicts.is_tied(&next) {
            apart = Some(declared.len());
        }
        if apart.is_some() && declared.len() >= longest {
            break;
        }
        conflicts.add(declared.len(), &next);
        declared.push((weight(block, tx), next));
    }
    let apart = apart.unwrap_or(declared.len());
    if apart >= BATCHES_EACH * workers * shortest.max(1) {
        return Planned::Apart(first + apart);
    }
    declared.truncate(longest);
    let length = best_length(&declared, workers, mutant);
    let declared = declared.get(..length).unwrap_or_default();
    let mut conflicts = Conflicts::of(length, mutant);
    (0..).zip(declared).for_each(|(tx, (_, declared))| conflicts.add(tx, declared));
    let group = |(tx, (weight, _)): (usize, &(u64, Declaration))| Ties {
        weight: *weight,
        keys: [Some(conflicts.joined.root(tx) as u64), None, None, None],
    };
    let ties: Vec<_> = declared.iter().enumerate().map(group).collect();
    let mut shared = lanes(&ties, BATCHES_EACH * workers, FOLD_MICROSECONDS * begun as u64);
    shared.lanes.iter_mut().flatten().for_each(|place| *place += first);
    Planned::Round(shared)
}

/// How many of `all` make a round that keeps most of `workers` busy: the more there are the more
/// belong together by way of others.
fn best_length(all: &[(u64, Declaration)], workers: usize, mutant: EvmMutant) -> usize {
    let mut conflicts = Conflicts::of(all.len(), mutant);
    let (mut best, mut next) = ((0, 0), SHORT);
    let mut weights: Vec<u64> = Vec::new();
    for (tx, (_, declared)) in all.iter().enumerate() {
        conflicts.add(tx, declared);
        let length = tx + 1;
        if length != next && length != all.len() {
            continue;
        }
        next = length * 2;
        weights.clear();
        weights.resize(length, 0);
        let (mut heaviest, mut total) = (0_u64, 0_u64);
        for (tx, (weight, _)) in all.iter().enumerate().take(length) {
            total = total.saturating_add(*weight);
            if let Some(group) = weights.get_mut(conflicts.joined.root(tx)) {
                *group = group.saturating_add(*weight);
                heaviest = heaviest.max(*group);
            }
        }
        // In hundredths of the speed of one worker.
        let speed = total.saturating_mul(100) / heaviest.max(total / workers.max(1) as u64).max(1);
        let (best_speed, _) = best;
        if speed * 10 >= best_speed * NEARLY_OF_TEN {
            best = (speed.max(best_speed), length);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eips::eip2930::{AccessList, AccessListItem};
    use alloy_primitives::{Address, B256, TxKind};
    use revm::context::TxEnv;

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
        plan_declared(&block, left, 0, (workers, 0), (shortest, EvmMutant::None))
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
        // One that may change what all others read is tied to those after it.
        let mut writes_it = reads_one.to_vec();
        writes_it.insert(2, call(5, 9, 8));
        let mut lanes = plan(writes_it, 2).lanes;
        lanes.sort();
        assert_eq!(lanes, [vec![0, 2, 3, 4], vec![1]]);
    }

    #[test]
    fn a_round_ends_before_groups_grow_together() {
        // Sixty-four that are apart, and then one that meets all of them.
        let mut all: Vec<_> = (0..64).map(|of| call(of.into(), of, 100)).collect();
        all.push(call(100, 100, 101));
        all.extend((0..150).map(|of| call(200 + u64::from(of), 100, of)));
        assert_eq!(plan(all.clone(), 4).lanes.iter().flatten().count(), 64);
        // Where nothing meets all of them are in one round, or in batches of neighbours.
        let mut apart: Vec<_> = (0..250).map(|of| call(of.into(), of, 255)).collect();
        assert_eq!(plan(apart.clone(), 4).lanes.iter().flatten().count(), 250);
        assert_eq!(planned(apart.clone(), 4, 16), Planned::Apart(250));
        apart[200] = call(900, 7, 255);
        assert_eq!(planned(apart, 4, 16), Planned::Apart(200));
        // And where everything does there is one lane.
        let chain: Vec<_> = (0..250).map(|of| call(of.into(), 3, of)).collect();
        assert_eq!(plan(chain, 4).lanes.len(), 1);
    }
}
