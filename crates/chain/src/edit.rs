//! Edits of the state after the last block, outside of any block, for development chains.

use crate::{
    AccountChange, AccountRecord, DurableBatch, SlotChange, Snapshot, StateReader, StateStore,
    StoreError, Table, Undo, Write, Writes, archive,
    commit::{put_root, put_state},
    trie::NodeOverlay,
};
use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, U256, keccak256};
use revm::DatabaseRef;
use std::{collections::BTreeMap, num::NonZeroUsize};

/// New values of an account. Fields that are `None` stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountEdit {
    /// Balance in wei.
    pub balance: Option<U256>,
    /// Nonce of the account's next transaction.
    pub nonce: Option<u64>,
    /// Code; no bytes remove the code.
    pub code: Option<Bytes>,
    /// Slots with their new values.
    pub slots: BTreeMap<U256, U256>,
}

/// Values of the store before an edit, to undo the edit.
#[derive(Clone, Debug)]
pub struct Edited(Writes);

impl Edited {
    /// Writes the former values.
    pub(crate) fn undo<S: StateStore>(self, store: &S) -> Result<(), StoreError> {
        store.write(self.0)
    }
}

/// Changes the account at `address` in one transaction of the store. The undo record of the last
/// block receives the former values, so earlier states remain readable.
pub(crate) fn edit<S: StateStore>(
    store: &S,
    address: Address,
    edit: &AccountEdit,
    root_threads: NonZeroUsize,
) -> Result<Edited, StoreError> {
    let reader = StateReader::new(store.snapshot()?)?;
    let batch = batch(&reader, address, edit)?;
    let mut writes = Writes::default();
    put_state(&mut writes, &batch, &BTreeMap::new());
    if reader.state_root()?.is_some() {
        put_root(NodeOverlay::of_head(&reader, root_threads)?, &mut writes, &batch, root_threads)?;
    }
    let number = batch.head.number;
    if let Some(undo) = reader.undo(number)? {
        writes.put(Table::Undo, number.to_be_bytes(), with_former(undo, &batch).encode());
    }
    archive::edit(&reader, &mut writes, &with_former(Undo::default(), &batch))?;
    let former = former(reader.snapshot(), &writes)?;
    store.write(writes)?;
    Ok(Edited(former))
}

/// Returns the changes that `edit` makes in the reader's state.
fn batch<S: Snapshot>(
    reader: &StateReader<S>,
    address: Address,
    edit: &AccountEdit,
) -> Result<DurableBatch, StoreError> {
    let before = reader.account(address)?;
    let mut after = before.unwrap_or(AccountRecord::empty());
    after.balance = edit.balance.unwrap_or(after.balance);
    after.nonce = edit.nonce.unwrap_or(after.nonce);
    let mut batch = DurableBatch { head: reader.head(), ..DurableBatch::default() };
    match &edit.code {
        Some(code) if code.is_empty() => after.code_hash = KECCAK256_EMPTY,
        Some(code) => {
            after.code_hash = keccak256(code);
            batch.codes.push((after.code_hash, code.clone()));
        }
        None => {}
    }
    // The account exists afterwards even if it is empty: its slots need an account.
    let after = Some(after);
    batch.accounts.push(AccountChange { address, before, after, cleared: false });
    for (slot, after) in &edit.slots {
        let before = reader.storage_ref(address, *slot)?;
        if before != *after {
            batch.slots.push(SlotChange { address, slot: *slot, before, after: *after });
        }
    }
    Ok(batch)
}

/// Adds the values before `batch` to an undo record, unless it has earlier values.
fn with_former(mut undo: Undo, batch: &DurableBatch) -> Undo {
    for change in &batch.accounts {
        let found = undo.accounts.binary_search_by_key(&change.address, |(address, _)| *address);
        if let Err(at) = found {
            undo.accounts.insert(at, (change.address, change.before));
        }
    }
    for change in &batch.slots {
        let key = (change.address, change.slot);
        let found = undo.slots.binary_search_by_key(&key, |(address, slot, _)| (*address, *slot));
        if let Err(at) = found {
            undo.slots.insert(at, (change.address, change.slot, change.before));
        }
    }
    undo
}

/// Returns the values that the keys of `writes` have in `snapshot`.
fn former<S: Snapshot>(snapshot: &S, writes: &Writes) -> Result<Writes, StoreError> {
    let former = writes.0.iter().map(|Write { table, key, .. }| {
        Ok(Write { table: *table, key: key.clone(), value: snapshot.get(*table, key)? })
    });
    former.collect::<Result<_, StoreError>>().map(Writes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Chain, ChainBlock, ChainConfig, Head, MemoryStore, PastState, StateRoots, create, digest,
        mutants::{Bug, with_bug},
        open, verify,
    };
    use alloy_primitives::B256;
    use braid_evm::{Block, ChainRules};
    use revm::context::BlockEnv;

    const EDITED: Address = Address::repeat_byte(0xed);

    fn chain(store: &MemoryStore) -> Chain<MemoryStore> {
        create(store, b"{}", &DurableBatch::default(), StateRoots::Computed).expect("created");
        let mut config = ChainConfig::default();
        config.keep.archive = true;
        Chain::open(store.clone(), config).expect("a chain")
    }

    /// Appends an empty block.
    fn append(chain: &mut Chain<MemoryStore>) {
        let Head { number, hash } = chain.head();
        let env = BlockEnv { number: U256::from(number + 1), ..BlockEnv::default() };
        let rules = ChainRules { system_calls: false, ..ChainRules::default() };
        let block = Block { env, rules, parent_hash: hash, ..Block::default() };
        let hash = keccak256(number.to_be_bytes());
        chain.execute(ChainBlock { block, hash, ..ChainBlock::default() }).expect("executed");
    }

    fn change(balance: u64) -> AccountEdit {
        AccountEdit {
            balance: Some(U256::from(balance)),
            nonce: Some(3),
            code: Some(Bytes::from_static(&[0x5f, 0x5f])),
            slots: [(U256::from(1), U256::from(balance)), (U256::from(2), U256::ZERO)].into(),
        }
    }

    fn balance<D: DatabaseRef<Error = StoreError>>(state: &D) -> Option<u64> {
        state.basic_ref(EDITED).expect("it reads").map(|account| account.balance.saturating_to())
    }

    /// Edits and blocks in turn: each state reads as it was, the roots are right, and undoing them
    /// in reverse order leads back through the same states.
    #[test]
    fn edits_are_part_of_the_state_and_can_be_undone() {
        edit_and_undo();
    }

    #[test]
    fn an_edit_that_is_missing_in_the_archive_is_noticed() {
        let edit = || std::panic::catch_unwind(edit_and_undo);
        with_bug(Some(Bug::ArchiveEditMissing), edit).expect_err("a state reads differently");
    }

    fn edit_and_undo() {
        let store = MemoryStore::new();
        let mut chain = chain(&store);
        let (mut edits, mut digests) = (Vec::new(), Vec::new());
        for number in 1..=3_u64 {
            append(&mut chain);
            chain.flush().expect("durable");
            digests.push(digest(&open(&store).expect("it opens")).expect("it reads"));
            edits.push(chain.edit(EDITED, &change(number)).expect("edited"));
            let second = AccountEdit { nonce: Some(9), ..change(number * 10) };
            edits.push(chain.edit(EDITED, &second).expect("edited"));
            assert_eq!(chain.durable(), chain.head());
            verify(&open(&store).expect("it opens")).expect("the state root is right");
        }
        let state = chain.state().expect("a state");
        for (number, wanted) in [(3, Some(30)), (2, Some(20)), (1, Some(10)), (0, None)] {
            let past = PastState::after(&state, number, |reader, number| {
                reader.undo(number).map(|undo| undo.map(std::sync::Arc::new))
            });
            let archived = PastState::archived(&state, number).expect("it reads");
            for past in [past.expect("it reads"), archived] {
                let past = past.expect("it is kept");
                assert_eq!(balance(&past), wanted, "after block {number}");
                let slot = past.storage_ref(EDITED, U256::from(1)).expect("it reads");
                assert_eq!(slot, U256::from(wanted.unwrap_or_default()));
            }
        }
        while let Some(wanted) = digests.pop() {
            for _ in 0..2 {
                chain.undo_edit(edits.pop().expect("two for each block")).expect("undone");
            }
            assert_eq!(digest(&open(&store).expect("it opens")).expect("it reads"), wanted);
            let head = chain.unwind(1).expect("unwound");
            assert_eq!((head, chain.durable()), (chain.head(), head));
        }
        assert_eq!(chain.head().number, 0);
        // The chain continues, with the right roots.
        append(&mut chain);
        chain.edit(EDITED, &change(7)).expect("edited");
        append(&mut chain);
        chain.flush().expect("durable");
        verify(&open(&store).expect("it opens")).expect("the state root is right");
        assert_eq!(balance(&chain.state().expect("a state")), Some(7));
        assert_ne!(
            open(&store).expect("it opens").state_root().expect("it reads"),
            Some(B256::ZERO)
        );
    }
}
