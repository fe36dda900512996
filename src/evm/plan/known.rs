//! Dependencies that are known before execution, from the transactions' declared accesses or from
//! an untrusted access list. Because of a wrong list some transactions wait or retry needlessly;
//! each run is validated as without a list.

use super::tx::probable_gas;
use crate::evm::bal::declaration::{Declaration, DeclaredLocation};
use crate::evm::exec::input::Block;
use crate::ids::TxIndex;
use crate::thresholds::MAX_CHAIN_FIFTHS;
use alloy_eip7928::constants::ITEM_COST;
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use alloy_primitives::Address;
use core::iter::Peekable;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::vec;

/// Indices of a transaction, and of a lower one that it depends on.
type Edge = (u32, u32);

/// Source of known dependencies.
#[derive(Debug)]
enum Source {
    /// The dependencies in an access list, sorted.
    List(Peekable<vec::IntoIter<Edge>>),
    /// The last transaction so far that may change each declared location. A later transaction that
    /// declares the location depends on it.
    Declared(HashMap<DeclaredLocation, u32, RandomState>),
}

/// For each transaction of a block, the lower transaction that it waits for.
#[derive(Debug)]
pub(in crate::evm) struct KnownDependencies {
    waits_for: Vec<Option<Dependencies>>,
    /// Predicted completion time of each transaction, in gas, given these dependencies and enough
    /// workers.
    completion_gas: Vec<u64>,
    source: Source,
}

/// Two of a transaction's dependencies, which may be the same.
#[derive(Clone, Copy, Debug)]
struct Dependencies {
    /// The dependency that is predicted to complete last.
    last: TxIndex,
    /// The dependency with the highest index, to wait for once `last` is committed.
    highest: TxIndex,
}

impl KnownDependencies {
    /// Reads the dependencies of `block` from its transactions' declarations, if the chain requires
    /// them, or from its hint, if it has one. [`extend`](Self::extend) adds later transactions.
    /// `receivers`: accounts that receive blind credits. `first`: the access list index of the
    /// first transaction.
    pub(in crate::evm) fn of(
        block: &Block,
        receivers: impl Iterator<Item = Address>,
        first: u64,
    ) -> Option<Self> {
        Self::declared(block).or_else(|| {
            let list = Self::listed(block, receivers, first)?;
            Some(Self::read(block, Source::List(list)))
        })
    }

    /// Reads the dependencies of `block` from its transactions' declarations, if the chain requires
    /// them.
    pub(super) fn declared(block: &Block) -> Option<Self> {
        let is_declared = block.rules.declared_accesses;
        is_declared.then(|| Self::read(block, Source::Declared(HashMap::default())))
    }

    fn read(block: &Block, source: Source) -> Self {
        let mut known = Self { waits_for: Vec::new(), completion_gas: Vec::new(), source };
        known.extend(block);
        known
    }

    fn listed(
        block: &Block,
        receivers: impl Iterator<Item = Address>,
        first: u64,
    ) -> Option<Peekable<vec::IntoIter<Edge>>> {
        let list = block.access_list_hint.as_deref()?;
        let receivers: Vec<Address> = receivers.collect();
        let mut writers = Writers::new(block, first);
        for account in list.iter() {
            writers.add_account(account, receivers.contains(&account.address));
        }
        let mut edges = writers.edges;
        edges.sort_unstable();
        Some(edges.into_iter().peekable())
    }

    /// Adds the new transactions of `block`. Each waits for the dependency that completes last.
    pub(in crate::evm) fn extend(&mut self, block: &Block) {
        let known = self.completion_gas.len();
        for (index, tx) in (0..).zip(&block.transactions).skip(known) {
            let mut last = None;
            let mut highest = 0;
            let mut depends_on = |lower: u32| {
                let time = self.completion_gas.get(lower as usize).copied().unwrap_or_default();
                last = last.max(Some((time, lower)));
                highest = highest.max(lower);
            };
            match &mut self.source {
                Source::List(list) => {
                    while let Some((_, lower)) = list.next_if(|(writer, _)| *writer == index) {
                        depends_on(lower);
                    }
                }
                Source::Declared(changed) => {
                    for (declared, may_change) in Declaration::of(tx).locations() {
                        let lower = match may_change {
                            true => changed.insert(declared, index),
                            false if mutant!(DeclaredReadsUnordered) => None,
                            false => changed.get(&declared).copied(),
                        };
                        if let Some(lower) = lower {
                            depends_on(lower);
                        }
                    }
                }
            }
            let start = last.map_or(0, |(time, _)| time);
            self.completion_gas.push(start.saturating_add(probable_gas(block, tx)));
            let lower = |(_, last)| Dependencies { last: TxIndex(last), highest: TxIndex(highest) };
            self.waits_for.push(last.map(lower));
        }
    }

    /// Whether one chain of transactions that wait for each other has most of `gas`, the probable
    /// gas of the block.
    pub(super) fn is_chain(&self, gas: u64) -> bool {
        let longest = self.completion_gas.iter().max().copied().unwrap_or_default();
        longest > gas / 5 * MAX_CHAIN_FIFTHS
    }

    /// The lower transaction that `tx` waits for while everything below `first` is committed.
    pub(super) fn waits_for(&self, tx: TxIndex, first: TxIndex) -> Option<TxIndex> {
        let Dependencies { last, highest } = (*self.waits_for.get(tx.position())?)?;
        [last, highest].into_iter().find(|on| *on >= first)
    }
}

/// Collects, from a list, the transactions that write a location that a lower one has written.
struct Writers {
    edges: Vec<Edge>,
    /// Maximum number of changes still to read: an untrusted list may have any length.
    budget: usize,
    /// Access list index of the first transaction.
    first: u64,
}

impl Writers {
    fn new(block: &Block, first: u64) -> Self {
        // Every change of a correct list costs at least `ITEM_COST` gas. So a correct list is read
        // completely, and a list of any length is read in bounded time.
        let most = block.env.gas_limit / ITEM_COST as u64;
        Self { edges: Vec::new(), budget: usize::try_from(most).unwrap_or(usize::MAX), first }
    }

    /// Adds the locations of `account` that are written more than once. Blind credits cause no
    /// dependency.
    fn add_account(&mut self, account: &AccountChanges, is_receiver: bool) {
        for slot in &account.storage_changes {
            self.add(slot.changes.iter().map(|it| it.block_access_index));
        }
        // A payment to a contract depends on its balance only if code reads the balance.
        let is_contract = !account.storage_changes.is_empty() || !account.storage_reads.is_empty();
        if !is_receiver && !is_contract {
            self.add(account.balance_changes.iter().map(|it| it.block_access_index));
        }
        self.add(account.nonce_changes.iter().map(|it| it.block_access_index));
        self.add(account.code_changes.iter().map(|it| it.block_access_index));
    }

    /// Adds one location, written at these indices.
    fn add(&mut self, indices: impl ExactSizeIterator<Item = BlockAccessIndex>) {
        let count = indices.len().min(self.budget);
        self.budget -= count;
        let tx_index =
            |index: BlockAccessIndex| u32::try_from(index.get().checked_sub(self.first)?).ok();
        let mut last = None;
        for writer in indices.take(count).filter_map(tx_index) {
            let lower = last.replace(writer).filter(|last| *last < writer);
            self.edges.extend(lower.map(|lower| (writer, lower)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::exec::input::ChainRules;
    use alloy_eip7928::bal::Bal;
    use alloy_eip7928::{NonceChange, SlotChanges, StorageChange};
    use alloy_eips::eip2930::{AccessList, AccessListItem};
    use alloy_primitives::{B256, TxKind, U256};
    use revm::context::TxEnv;
    use std::sync::Arc;

    /// A block of transactions with these gas limits, and a hint that lists, for each slot, the
    /// indices that write it.
    fn block(gas: &[u64], slots: &[&[u64]]) -> Block {
        let call = |gas: &u64| TxEnv { gas_limit: *gas, data: vec![7].into(), ..TxEnv::default() };
        let change = |index: &u64| StorageChange::new(BlockAccessIndex::new(*index), U256::ONE);
        let slot = |(slot, indices): (u64, &&[u64])| {
            SlotChanges::new(U256::from(slot), indices.iter().map(change).collect())
        };
        let mut account = AccountChanges::new(Address::repeat_byte(1));
        account.storage_changes = (0..).zip(slots).map(slot).collect();
        let access_list_hint = Some(Arc::new(Bal::new(vec![account])));
        Block { transactions: gas.iter().map(call).collect(), access_list_hint, ..Block::default() }
    }

    fn waits(block: &Block) -> Vec<Option<u32>> {
        let known = KnownDependencies::of(block, core::iter::empty(), 1).expect("a hint");
        let indices = (0..).map(TxIndex).take(block.transactions.len());
        indices.map(|tx| known.waits_for(tx, TxIndex(0)).map(|on| on.0)).collect()
    }

    #[test]
    fn a_transaction_waits_for_the_dependency_that_completes_last() {
        let gas = [90_000, 30_000, 30_000, 30_000, 30_000];
        assert_eq!(waits(&block(&gas, &[])), [None; 5]);
        let found = waits(&block(&gas, &[&[1, 4], &[2, 3, 4], &[3, 5]]));
        assert_eq!(found, [None, None, Some(1), Some(0), Some(2)]);
        let of = |gas: &[u64]| waits(&block(gas, &[&[1, 3], &[2, 3]]))[2];
        assert_eq!([of(&[30_000, 40_000, 1]), of(&[40_000, 30_000, 1])], [Some(1), Some(0)]);
        let known = KnownDependencies::of(&block(&gas, &[&[1, 4]]), core::iter::empty(), 1);
        let from = |first| known.as_ref().and_then(|it| it.waits_for(TxIndex(3), TxIndex(first)));
        assert_eq!((from(0), from(1)), (Some(TxIndex(0)), None));
        // The fourth transaction waits for the first, which completes last, and once the first is
        // committed, for the third.
        let known =
            KnownDependencies::of(&block(&gas, &[&[1, 4], &[3, 4]]), core::iter::empty(), 1);
        let from = |first| known.as_ref().and_then(|it| it.waits_for(TxIndex(3), TxIndex(first)));
        assert_eq!([0, 1, 3].map(from), [Some(TxIndex(0)), Some(TxIndex(2)), None]);
    }

    #[test]
    fn a_list_that_lies_makes_no_transaction_wait_for_itself_or_a_higher_one() {
        let gas = [30_000; 3];
        let found = waits(&block(&gas, &[&[0, 3, 1, 1, u64::MAX, 2, 900], &[4, 4, 3]]));
        assert_eq!(found, [None, Some(0), None]);
    }

    #[test]
    fn what_is_added_to_a_block_waits_as_if_it_had_been_there() {
        let whole = block(&[90_000, 30_000, 30_000, 30_000, 30_000], &[&[1, 4], &[2, 3, 4, 5]]);
        let mut growing = Block { transactions: Vec::new(), ..whole.clone() };
        let mut known = KnownDependencies::of(&growing, core::iter::empty(), 1).expect("a hint");
        for tx in &whole.transactions {
            growing.transactions.push(tx.clone());
            known.extend(&growing);
        }
        let indices = (0..5).map(TxIndex);
        let found: Vec<_> = indices.map(|tx| known.waits_for(tx, TxIndex(0))).collect();
        assert_eq!(found, [None, None, Some(TxIndex(1)), Some(TxIndex(0)), Some(TxIndex(3))]);
    }

    #[test]
    fn no_more_is_read_than_a_block_can_pay_for() {
        let mut long = block(&[30_000; 9], &[&[1; 5_000], &[1, 2]]);
        assert_eq!(waits(&long)[1], Some(0));
        long.env.gas_limit = 5_000 * ITEM_COST as u64;
        assert_eq!(waits(&long)[1], None);
    }

    #[test]
    fn fees_that_are_deferred_and_payments_to_contracts_need_nothing() {
        let mut list = block(&[30_000; 2], &[&[1]]);
        let mut accounts = list.access_list_hint.as_deref().expect("a hint").to_vec();
        let change =
            |index| alloy_eip7928::BalanceChange::new(BlockAccessIndex::new(index), U256::ONE);
        accounts[0].balance_changes = vec![change(1), change(2)];
        accounts.push(AccountChanges::new(Address::repeat_byte(2)));
        accounts[1].balance_changes = vec![change(1), change(2)];
        list.access_list_hint = Some(Arc::new(Bal::new(accounts.clone())));
        let found = |list: &Block, receiver: u8| {
            let receivers = core::iter::once(Address::repeat_byte(receiver));
            let known = KnownDependencies::of(list, receivers, 1).expect("a hint");
            known.waits_for(TxIndex(1), TxIndex(0)).is_some()
        };
        assert!(found(&list, 9) && !found(&list, 2));
        let nonce = |index| NonceChange::new(BlockAccessIndex::new(index), 1);
        accounts[0].nonce_changes = vec![nonce(1), nonce(2)];
        list.access_list_hint = Some(Arc::new(Bal::new(accounts)));
        assert!(found(&list, 2));
    }

    #[test]
    fn a_transaction_waits_for_a_lower_one_that_may_change_what_it_declares() {
        // Each call may change its first slot and reads its second one.
        let call = |(sender, [writes, reads]): (u64, [u8; 2])| {
            let caller = Address::left_padding_from(&(1_000 + sender).to_be_bytes());
            let item = |address, slots: &[u8]| AccessListItem {
                address,
                storage_keys: slots.iter().map(|slot| B256::with_last_byte(*slot)).collect(),
            };
            let contract = Address::repeat_byte(0xcc);
            let items = [item(contract, &[reads]), item(caller, &[]), item(contract, &[writes])];
            let kind = TxKind::Call(contract);
            TxEnv { caller, kind, access_list: AccessList(items.into()), ..TxEnv::default() }
        };
        let of = |slots: &[[u8; 2]]| {
            let transactions = (0..).zip(slots.iter().copied()).map(call).collect();
            let rules = ChainRules { declared_accesses: true, ..ChainRules::default() };
            waits(&Block { transactions, rules, ..Block::default() })
        };
        // Nothing orders transactions that only read.
        assert_eq!(of(&[[1, 9], [2, 9], [1, 9], [9, 8]]), [None, None, Some(0), None]);
        // The fourth transaction depends on both writers, of which the second completes last.
        assert_eq!(of(&[[1, 9], [2, 1], [3, 9], [2, 1]]), [None, Some(0), None, Some(1)]);
        let one_sender = [(7, [1, 9]), (7, [2, 9])].map(call).into();
        let rules = ChainRules { declared_accesses: true, ..ChainRules::default() };
        let block = Block { transactions: one_sender, rules, ..Block::default() };
        assert_eq!(waits(&block), [None, Some(0)]);
    }

    /// The test above notices a seeded bug.
    #[cfg(feature = "mutants")]
    #[test]
    fn unordered_reads_are_noticed() {
        let _bug = crate::mutants::seed(crate::mutants::Bug::DeclaredReadsUnordered);
        let above = a_transaction_waits_for_a_lower_one_that_may_change_what_it_declares;
        assert!(std::panic::catch_unwind(above).is_err());
    }
}
