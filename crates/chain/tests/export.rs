//! A state that is written as a genesis file and read again.

use crate::support::{Reference, Stream, contents};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, KECCAK256_EMPTY, U256};
use braid_chain::{
    Entry, ExportError, Exported, Head, MemorySnapshot, MemoryStore, Snapshot, StateReader,
    StateRoots, StateStore, StoreError, Table, create, digest, export, genesis, open,
};
use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Returns a store with the state, at block `head`.
fn stored(state: &Reference, head: Head) -> MemoryStore {
    let store = MemoryStore::new();
    create(&store, b"{\"nonce\": \"0x7\"}", &state.batch(head), StateRoots::Computed)
        .expect("an empty store");
    store
}

/// Returns a random state that has codes, an account without balance, and an account with many
/// slots.
fn state(seed: u64) -> (Reference, Head) {
    let mut stream = Stream::new(seed, 3);
    let mut state = stream.states.pop().expect("a state");
    let (empty, large) = (Address::repeat_byte(0xe0), Address::repeat_byte(0xe1));
    state.accounts.insert(empty, (1, U256::ZERO, KECCAK256_EMPTY));
    state.accounts.insert(large, (0, U256::MAX, KECCAK256_EMPTY));
    for slot in 0..3_000_u64 {
        let slot = U256::from(slot);
        state.slots.insert((large, slot * slot), U256::MAX >> (slot % U256::from(255)));
    }
    (state, Head { number: 1_002, hash: stream.blocks[2].1 })
}

#[test]
fn an_exported_state_is_the_same_state() {
    let mut codes = 0;
    for seed in 0..14 {
        let (state, head) = state(seed);
        let reader = open(&stored(&state, head)).expect("a chain");
        let (mut file, mut last, mut calls) = (Vec::new(), Exported::default(), 0);
        let exported = export(&reader, &mut file, |exported| {
            (last, calls) = (exported, calls + 1);
        });
        let exported = exported.expect("it is written");
        let (accounts, slots) = (state.accounts.len() as u64, state.slots.len() as u64);
        assert_eq!(exported, Exported { accounts, slots });
        assert_eq!((last, calls), (exported, accounts + slots));

        let genesis: Genesis = serde_json::from_slice(&file).expect("geth's format");
        assert_eq!((genesis.nonce, genesis.alloc.len() as u64), (7, accounts));
        codes += genesis.alloc.values().filter(|account| account.code.is_some()).count();
        let header = genesis::header(&genesis);
        assert_eq!(header.state_root, state.root(), "seed {seed}");
        let copy = MemoryStore::new();
        let head = Head { number: 0, hash: header.hash_slow() };
        create(&copy, b"{}", &genesis::batch(&genesis, head), StateRoots::Computed)
            .expect("an empty store");
        let copy = open(&copy).expect("a chain");
        assert_eq!(contents(&copy), state.contents(), "seed {seed}");
        assert_eq!(digest(&copy).expect("reads"), digest(&reader).expect("reads"));
        assert_eq!(copy.state_root().expect("reads"), Some(state.root()));
    }
    assert!(codes > 0, "no state has a code");
}

#[test]
fn a_state_without_accounts_is_a_genesis() {
    let reader = open(&stored(&Reference::default(), Head::default())).expect("a chain");
    let mut file = Vec::new();
    export(&reader, &mut file, |_| {}).expect("it is written");
    let genesis: Genesis = serde_json::from_slice(&file).expect("geth's format");
    assert!(genesis.alloc.is_empty());
}

/// A writer that accepts some bytes and then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.0.checked_sub(bytes.len()).ok_or_else(|| io::Error::other("no space"))?;
        self.0 = left;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A snapshot that counts the entries of its scans.
#[derive(Clone)]
struct Counted {
    inner: MemorySnapshot,
    entries: Arc<AtomicU64>,
}

impl Snapshot for Counted {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        Box::new(self.inner.scan(table, prefix).inspect(|_| {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }))
    }
}

/// The state is read while it is written: reading ends when the output is full.
#[test]
fn a_full_output_ends_it_at_once() {
    let (mut state, head) = state(1);
    for last in 0..1_000_u16 {
        let address = Address::right_padding_from(&[[0xff; 2], last.to_be_bytes()].concat());
        state.accounts.insert(address, (1, U256::ONE, KECCAK256_EMPTY));
    }
    let entries = Arc::<AtomicU64>::default();
    let inner = stored(&state, head).snapshot().expect("in memory");
    let reader = StateReader::new(Counted { inner, entries: Arc::clone(&entries) });
    let reader = reader.expect("a chain");
    for room in [20_000, 460_000] {
        entries.store(0, Ordering::Relaxed);
        let mut last = Exported::default();
        let ended = export(&reader, &mut Full(room), |exported| last = exported);
        let error = ended.expect_err("no space");
        assert!(matches!(&error, ExportError::Output(_)), "{error}");
        assert!(error.to_string().starts_with("the output cannot be written: no space; "));
        let read = entries.load(Ordering::Relaxed);
        let written = last.accounts + last.slots;
        assert!((written..written + 3).contains(&read), "{last:?}, {read} entries");
    }
}
