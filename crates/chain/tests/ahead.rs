//! Blocks with an access list: their trie work runs in parallel with their execution, and is used
//! only if the list matches the execution.

use crate::{
    streams::{begun, block, config},
    support::{Stream, contents},
};
use braid_chain::{
    Chain, ChainBlock, Entry, MemoryStore, Snapshot, StateStore, StoreError, Table, Writes, open,
    verify,
};
use braid_evm::AccessList;
use std::{panic::resume_unwind, sync::Arc, thread};

/// Returns the access list of each block, built by a chain whose blocks have none.
pub(crate) fn lists(stream: &Stream) -> Vec<AccessList> {
    let mut config = config(2);
    config.executor.access_list = true;
    let mut chain = Chain::open(begun(stream), config).expect("a chain");
    let executed = stream.blocks.iter().map(|next| chain.execute(block(next)).expect("valid"));
    executed.map(|executed| executed.output.access_list.expect("it is asked for")).collect()
}

fn with_list(stream: &Stream, index: usize, list: AccessList) -> ChainBlock {
    let mut block = block(&stream.blocks[index]);
    block.block.access_list = Some(Arc::new(list));
    block.expected.state_root = Some(stream.states[index + 1].root());
    block
}

fn is_state(store: &MemoryStore, stream: &Stream, blocks: usize) {
    let reader = open(store).expect("a chain");
    assert_eq!(contents(&reader), stream.states[blocks].contents(), "after {blocks} blocks");
    assert_eq!(reader.state_root().expect("reads"), Some(stream.states[blocks].root()));
    verify(&reader).expect("all is as it must be");
}

/// Returns the list with another final value of the first changed balance.
fn lying(list: &AccessList) -> Option<AccessList> {
    let mut accounts = list.to_vec();
    let changes = accounts.iter_mut().find_map(|account| account.balance_changes.last_mut())?;
    changes.post_balance ^= alloy_primitives::U256::ONE;
    Some(AccessList::new(accounts))
}

#[test]
fn roots_from_lists_are_those_of_sequential_execution() {
    let (mut ahead, mut all, mut refused) = (0, 0, 0);
    for seed in 0..35 {
        let stream = Stream::new(seed, 4);
        let store = begun(&stream);
        let mut chain = Chain::open(store.clone(), config(seed as u16 % 3 + 1)).expect("a chain");
        for (index, list) in lists(&stream).into_iter().enumerate() {
            if let Some(lying) = lying(&list) {
                let error = chain.execute(with_list(&stream, index, lying));
                let error = error.expect_err("the list lies").to_string();
                assert!(error.contains("list"), "{error}");
                chain.flush().expect("nothing was written");
                is_state(&store, &stream, index);
                refused += 1;
            }
            chain.execute(with_list(&stream, index, list)).expect("a right list");
            chain.flush().expect("the root is the stated one");
            is_state(&store, &stream, index + 1);
            all += 1;
        }
        ahead += chain.durable_head().roots_ahead();
    }
    assert!(ahead > all / 3 && refused > all / 3, "{ahead} and {refused} of {all}");
}

/// Trie nodes are not prefetched for a block while an earlier one is still being written.
#[test]
fn nothing_is_done_ahead_of_a_block_that_is_being_written() {
    let stream = Stream::new(4, 3);
    let lists = lists(&stream);
    let (lagging, permits) = crate::support::Lagging::new(begun(&stream));
    let mut chain = Chain::open(lagging, config(2)).expect("a chain");
    for (index, list) in lists.into_iter().enumerate().take(2) {
        chain.execute(with_list(&stream, index, list)).expect("a right list");
    }
    drop(permits);
    chain.flush().expect("the roots are the stated ones");
    assert_eq!(chain.durable_head().roots_ahead(), 1);
}

/// A store that the thread of the trie work cannot read.
#[derive(Clone, Debug)]
struct Unread<S> {
    inner: S,
    panics: bool,
}

impl<S> Unread<S> {
    fn read(&self) -> Result<(), StoreError> {
        match thread::current().name() {
            Some("braid-tries") if self.panics => resume_unwind(Box::new("the test asked for it")),
            Some("braid-tries") => Err(StoreError::Empty),
            _ => Ok(()),
        }
    }
}

impl<S: StateStore> StateStore for Unread<S> {
    type Snapshot = Unread<S::Snapshot>;

    fn snapshot(&self) -> Result<Self::Snapshot, StoreError> {
        Ok(Unread { inner: self.inner.snapshot()?, panics: self.panics })
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        self.inner.write(writes)
    }
}

impl<S: Snapshot> Snapshot for Unread<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read()?;
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        self.inner.scan(table, prefix)
    }
}

/// The block is executed and written, whatever happens to its trie work.
#[test]
fn trie_work_that_fails_fails_no_block() {
    for panics in [false, true] {
        let stream = Stream::new(4, 3);
        let inner = begun(&stream);
        let store = Unread { inner: inner.clone(), panics };
        let mut chain = Chain::open(store, config(2)).expect("a chain");
        for (index, list) in lists(&stream).into_iter().enumerate() {
            chain.execute(with_list(&stream, index, list)).expect("a right list");
            chain.flush().expect("the root is the stated one");
        }
        assert_eq!(chain.durable_head().roots_ahead(), 0, "nothing came of it");
        drop(chain);
        is_state(&inner, &stream, 3);
    }
}
