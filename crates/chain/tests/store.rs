//! Tests that run on every store.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use braid_chain::{
    AccountChange, AccountRecord, DurableBatch, EmbeddedStore, Head, Keep, MemoryStore, SlotChange,
    Snapshot, StateRoots, StateStore, StoreError, Table, Writes, commit, create, open,
};
use proptest::{collection, prelude::*, test_runner::TestRunner};
use revm::DatabaseRef;
use std::{collections::BTreeMap, path::Path};

/// Runs `test` on each store: in memory, and in a folder.
fn on_every_store(test: impl Fn(&dyn Fn() -> Box<dyn Reopen>)) {
    test(&|| Box::new(InMemory(MemoryStore::new())));
    test(&|| Box::new(InFolder::new(embedded)));
    #[cfg(braid_rocksdb)]
    test(&|| Box::new(InFolder::new(rocks)));
}

/// Cache size of a store in bytes, so small that reads reach the files.
const CACHE: u64 = 1 << 20;

fn embedded(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open_with_cache(folder, CACHE).expect("a store")
}

#[cfg(braid_rocksdb)]
pub(crate) fn rocks(folder: &Path) -> braid_chain::RocksStore {
    braid_chain::RocksStore::open(folder, CACHE).expect("a store")
}

/// A store that can be closed and reopened.
trait Reopen {
    fn reopen(&mut self);
    fn run(&self, what: &mut dyn FnMut(&dyn Operations));
}

/// Operations on a store of any type.
trait Operations {
    fn create(&self, batch: &DurableBatch) -> Result<(), StoreError>;
    fn commit(&self, batch: &DurableBatch, keep: Keep) -> Result<(), StoreError>;
    fn write(&self, writes: Writes) -> Result<(), StoreError>;
    fn contents(&self) -> Result<Contents, StoreError>;
    fn reader(&self) -> Result<Box<dyn DatabaseRef<Error = StoreError>>, StoreError>;
    fn genesis(&self) -> Vec<u8>;
    fn undo(&self, number: u64) -> Option<braid_chain::Undo>;
}

type Accounts = BTreeMap<Address, AccountRecord>;
type Slots = BTreeMap<(Address, U256), U256>;

/// All contents of a chain's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Contents {
    head: Head,
    accounts: Accounts,
    slots: Slots,
}

impl<S: StateStore> Operations for S {
    fn create(&self, batch: &DurableBatch) -> Result<(), StoreError> {
        create(self, b"{}", batch, StateRoots::Computed)
    }

    fn commit(&self, batch: &DurableBatch, keep: Keep) -> Result<(), StoreError> {
        commit(self, batch, keep)
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        StateStore::write(self, writes)
    }

    fn contents(&self) -> Result<Contents, StoreError> {
        let reader = open(self)?;
        let accounts: Accounts = reader.accounts().collect::<Result<_, _>>()?;
        let mut slots = Slots::new();
        for address in accounts.keys() {
            for slot in reader.slots(*address) {
                let (slot, value) = slot?;
                slots.insert((*address, slot), value);
            }
        }
        let stored = self.snapshot()?.scan(Table::Slots, &[]).count();
        assert_eq!(stored, slots.len(), "slots of accounts that do not exist");
        Ok(Contents { head: reader.head(), accounts, slots })
    }

    fn reader(&self) -> Result<Box<dyn DatabaseRef<Error = StoreError>>, StoreError> {
        Ok(Box::new(open(self)?))
    }

    fn genesis(&self) -> Vec<u8> {
        open(self).and_then(|reader| reader.genesis()).expect("a chain")
    }

    fn undo(&self, number: u64) -> Option<braid_chain::Undo> {
        open(self).and_then(|reader| reader.undo(number)).expect("a chain")
    }
}

struct InMemory(MemoryStore);

impl Reopen for InMemory {
    fn reopen(&mut self) {}

    fn run(&self, what: &mut dyn FnMut(&dyn Operations)) {
        what(&self.0);
    }
}

struct InFolder<S> {
    store: Option<S>,
    open: fn(&Path) -> S,
    folder: tempfile::TempDir,
}

impl<S: StateStore> InFolder<S> {
    fn new(open: fn(&Path) -> S) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { store: Some(open(folder.path())), open, folder }
    }
}

impl<S: StateStore> Reopen for InFolder<S> {
    fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some((self.open)(self.folder.path()));
    }

    fn run(&self, what: &mut dyn FnMut(&dyn Operations)) {
        what(self.store.as_ref().expect("it is open"));
    }
}

fn record(nonce: u64, balance: u64) -> AccountRecord {
    AccountRecord { nonce, balance: U256::from(balance), code_hash: KECCAK256_EMPTY }
}

fn head(number: u64) -> Head {
    Head { number, hash: keccak256(number.to_be_bytes()) }
}

/// Returns the batch from one state to another; accounts in `cleared` lose their storage first.
fn batch_between(before: &Contents, after: &Contents, cleared: &[Address]) -> DurableBatch {
    let mut batch = DurableBatch { head: after.head, ..DurableBatch::default() };
    let addresses = before.accounts.keys().chain(after.accounts.keys());
    let addresses: std::collections::BTreeSet<_> = addresses.copied().collect();
    for address in addresses {
        let of = |contents: &Contents| contents.accounts.get(&address).copied();
        let cleared = cleared.contains(&address);
        let change = AccountChange { address, before: of(before), after: of(after), cleared };
        batch.accounts.push(change);
    }
    let keys: std::collections::BTreeSet<_> =
        before.slots.keys().chain(after.slots.keys()).copied().collect();
    for key in keys {
        let of = |contents: &Contents| contents.slots.get(&key).copied().unwrap_or_default();
        let cleared = cleared.contains(&key.0);
        let before = if cleared { U256::ZERO } else { of(before) };
        if before != of(after) {
            let after = of(after);
            batch.slots.push(SlotChange { address: key.0, slot: key.1, before, after });
        }
    }
    batch
}

#[test]
fn a_committed_batch_reads_back_after_reopening() {
    on_every_store(|make| {
        let mut store = make();
        let (alice, bob) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let code = Bytes::from_static(&[0x60, 0x00]);
        let mut after = Contents { head: head(7), ..Contents::default() };
        let coded = AccountRecord { code_hash: keccak256(&code), ..record(1, u64::MAX) };
        after.accounts = [(alice, record(3, 0)), (bob, coded)].into();
        after.slots = [((bob, U256::MAX), U256::MAX), ((bob, U256::ZERO), U256::ONE)].into();
        let mut batch = batch_between(&Contents::default(), &after, &[]);
        batch.codes = vec![(keccak256(&code), code.clone())];
        store.run(&mut |store| store.create(&batch).expect("an empty store"));
        store.reopen();
        store.run(&mut |store| {
            assert_eq!(store.contents().expect("a chain"), after);
            assert_eq!(store.genesis(), b"{}");
            let reader = store.reader().expect("a chain");
            let info = reader.basic_ref(bob).expect("read").expect("it exists");
            assert_eq!((info.nonce, info.balance), (1, U256::from(u64::MAX)));
            let found = reader.code_by_hash_ref(keccak256(&code)).expect("the code");
            assert_eq!(found.original_bytes(), code);
            assert_eq!(reader.storage_ref(bob, U256::MAX).expect("read"), U256::MAX);
            assert_eq!(reader.storage_ref(alice, U256::MAX).expect("read"), U256::ZERO);
            assert_eq!(reader.basic_ref(Address::ZERO).expect("read"), None);
            assert_eq!(reader.block_hash_ref(7).expect("read"), head(7).hash);
            assert_eq!(reader.block_hash_ref(8).expect("read"), B256::ZERO);
            let unknown = reader.code_by_hash_ref(B256::repeat_byte(9));
            assert!(matches!(unknown, Err(StoreError::Damaged { .. })));
        });
    });
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    on_every_store(|make| {
        let store = make();
        let genesis = DurableBatch { head: head(0), ..DurableBatch::default() };
        store.run(&mut |store| {
            assert!(matches!(store.contents(), Err(StoreError::Empty)));
            assert!(matches!(store.commit(&genesis, Keep::default()), Err(StoreError::Empty)));
            store.create(&genesis).expect("an empty store");
            let again = store.create(&genesis).expect_err("it holds a chain");
            assert!(matches!(again, StoreError::Occupied { number: 0 }), "{again}");
            let late = DurableBatch { head: head(2), ..DurableBatch::default() };
            let refused = store.commit(&late, Keep::default()).expect_err("block 1 is missing");
            assert!(matches!(refused, StoreError::Order { number: 2, head: 0 }), "{refused}");
            assert_eq!(store.contents().expect("a chain").head, head(0));
        });
    });
}

#[test]
fn another_schema_version_is_refused_with_advice() {
    on_every_store(|make| {
        let mut store = make();
        let genesis = DurableBatch { head: head(0), ..DurableBatch::default() };
        store.run(&mut |store| {
            store.create(&genesis).expect("an empty store");
            let mut writes = Writes::default();
            writes.put(Table::Meta, *b"schema", 99_u32.to_be_bytes());
            store.write(writes).expect("written");
        });
        store.reopen();
        store.run(&mut |store| {
            let error = store.contents().expect_err("another version");
            let text = error.to_string();
            assert!(matches!(error, StoreError::Schema { found: 99, .. }), "{text}");
            assert!(text.contains("open it with the version that wrote it"), "{text}");
        });
    });
}

#[test]
fn a_reader_keeps_the_state_that_it_was_opened_on() {
    on_every_store(|make| {
        let store = make();
        let alice = Address::repeat_byte(1);
        let state = |number: u64| Contents {
            head: head(number),
            accounts: [(alice, record(number, number))].into(),
            slots: Slots::new(),
        };
        store.run(&mut |store| {
            store.create(&batch_between(&Contents::default(), &state(0), &[])).expect("created");
            let old = store.reader().expect("a chain");
            let next = batch_between(&state(0), &state(1), &[]);
            store.commit(&next, Keep::default()).expect("committed");
            let nonce = |reader: &dyn DatabaseRef<Error = StoreError>| {
                reader.basic_ref(alice).expect("read").map(|info| info.nonce)
            };
            assert_eq!(nonce(&*old), Some(0));
            assert_eq!(nonce(&*store.reader().expect("a chain")), Some(1));
        });
    });
}

/// Small states with few addresses and slots, so that blocks overlap.
fn states() -> impl Strategy<Value = Vec<(Contents, Vec<Address>)>> {
    let address = (0_u8..4).prop_map(Address::repeat_byte);
    let account = (address.clone(), (0_u64..3, 0_u64..3));
    let slot = ((address.clone(), 0_u64..4), 1_u64..3);
    let state = (
        collection::btree_map(account.0, account.1, 0..4),
        collection::btree_map(slot.0, slot.1, 0..8),
        collection::vec(address, 0..2),
    );
    let state = state.prop_map(|(accounts, slots, cleared)| {
        let accounts: Accounts = accounts
            .into_iter()
            .map(|(address, (nonce, balance))| (address, record(nonce, balance)))
            .collect();
        let slots = slots.into_iter();
        let slots =
            slots.map(|((address, slot), value)| ((address, U256::from(slot)), U256::from(value)));
        let slots = slots.filter(|((address, _), _)| accounts.contains_key(address)).collect();
        (Contents { head: Head::default(), accounts, slots }, cleared)
    });
    collection::vec(state, 1..8)
}

/// Checks that each state is reached, and that each kept undo record restores the preceding state.
fn states_follow_each_other(
    store: &dyn Operations,
    states: Vec<(Contents, Vec<Address>)>,
    undo_blocks: u64,
) {
    let keep = Keep::blocks(undo_blocks);
    let mut before = Contents::default();
    let last = states.len() as u64 - 1;
    let mut reached = Vec::new();
    for (number, (mut after, cleared)) in states.into_iter().enumerate() {
        after.head = head(number as u64);
        // A deleted account loses its storage.
        let ended = before.accounts.keys().filter(|address| !after.accounts.contains_key(*address));
        let cleared: Vec<_> = ended.copied().chain(cleared).collect();
        let batch = batch_between(&before, &after, &cleared);
        if number == 0 {
            store.create(&batch).expect("an empty store");
        } else {
            store.commit(&batch, keep).expect("it follows");
        }
        assert_eq!(store.contents().expect("a chain"), after);
        reached.push(after.clone());
        before = after;
    }
    for number in (1..=last).rev() {
        let undo = store.undo(number);
        assert_eq!(undo.is_some(), last - number < undo_blocks, "undo of block {number}");
        let Some(undo) = undo else { continue };
        let mut state = reached[number as usize].clone();
        state.head = undo.parent;
        for (address, account) in undo.accounts {
            match account {
                Some(account) => state.accounts.insert(address, account),
                None => state.accounts.remove(&address),
            };
        }
        state
            .slots
            .extend(undo.slots.iter().map(|(address, slot, value)| ((*address, *slot), *value)));
        state.slots.retain(|_, value| !value.is_zero());
        assert_eq!(state, reached[number as usize - 1], "after undoing block {number}");
    }
}

#[test]
fn random_states_follow_each_other_and_can_be_undone() {
    let cases = |cases| TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let in_memory = |(states, keep)| {
        states_follow_each_other(&MemoryStore::new(), states, keep);
        Ok(())
    };
    cases(256).run(&(states(), 0_u64..4), in_memory).expect("every case holds");
    // Each transaction is written to disk.
    let in_folder = |(states, keep)| {
        let folder = tempfile::tempdir().expect("a folder");
        states_follow_each_other(&embedded(folder.path()), states, keep);
        Ok(())
    };
    cases(12).run(&(states(), 0_u64..4), in_folder).expect("every case holds");
    #[cfg(braid_rocksdb)]
    let in_rocks = |(states, keep)| {
        let folder = tempfile::tempdir().expect("a folder");
        states_follow_each_other(&rocks(folder.path()), states, keep);
        Ok(())
    };
    #[cfg(braid_rocksdb)]
    cases(12).run(&(states(), 0_u64..4), in_rocks).expect("every case holds");
}
