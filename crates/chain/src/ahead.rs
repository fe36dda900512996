//! Computation of a block's trie nodes before the writer receives the block: while the block
//! executes, or before it is sealed.
//!
//! A block's access list (EIP-7928) states the values after the block before the block is executed.
//! The nodes computed from them are used only if the executed block makes exactly those changes.

use crate::{
    AccountChange, AccountRecord, DurableBatch, Entry, Head, SlotChange, Snapshot, StateReader,
    StoreError, Table,
    trie::{NodeCache, NodeOverlay, Tries, UpdatedTries},
};
use alloy_primitives::{Address, U256, keccak256};
use braid_evm::{AccessList, CancellationToken};
use revm::DatabaseRef;
use std::{
    io,
    num::NonZeroUsize,
    thread::{self, JoinHandle},
};

/// Trie nodes and state root of a block, computed from its changes or from its access list.
#[derive(Debug)]
pub(crate) struct Ahead {
    parent: Head,
    batch: DurableBatch,
    /// The tries after the block.
    pub(crate) updated: UpdatedTries,
    /// Whether `batch` comes from an access list, which does not say which storage is cleared.
    pub(crate) is_listed: bool,
}

impl Ahead {
    /// Computes nodes and root from the changes in `batch`, on the state after the block `parent`,
    /// whose nodes are `nodes`. `tries` are the tries of that state that are in memory.
    pub(crate) fn after<S: Snapshot>(
        parent: Head,
        nodes: &NodeOverlay<S>,
        tries: Tries,
        batch: DurableBatch,
        threads: NonZeroUsize,
    ) -> Result<Self, StoreError> {
        let updated = UpdatedTries::new(nodes, tries, &batch, threads)?;
        Ok(Self { parent, batch, updated, is_listed: false })
    }

    /// Computes nodes and root from an access list, on the state of `snapshot`, whose tries are in
    /// `cache`. Returns `None` if the chain has no state roots, the store failed, or the work was
    /// cancelled.
    pub(crate) fn compute<S: Snapshot>(
        snapshot: S,
        cache: &NodeCache,
        list: &AccessList,
        threads: NonZeroUsize,
        cancel: &CancellationToken,
    ) -> Option<Self> {
        let snapshot = Cancellable { snapshot, cancel: cancel.clone() };
        let reader = StateReader::new(snapshot).ok()?;
        reader.state_root().ok()??;
        let batch = batch(&reader, list).ok()?;
        let nodes = cache.of_head(&reader, threads).ok()?;
        let tries = cache.share(&batch);
        let ahead = Self::after(reader.head(), &nodes, tries, batch, threads).ok()?;
        Some(Self { is_listed: true, ..ahead })
    }

    /// Whether `parent` is the block that the nodes were computed on, and `batch` makes the same
    /// changes. A batch that clears a storage is never the same as a list, which does not say which
    /// storage was cleared.
    pub(crate) fn is_of(&self, parent: Head, batch: &DurableBatch) -> bool {
        self.parent == parent
            && !(self.is_listed && batch.accounts.iter().any(|change| change.cleared))
            && changed(&self.batch).eq(changed(batch))
            && values(&self.batch).eq(values(batch))
    }
}

type After = (Address, Option<AccountRecord>);

fn changed(batch: &DurableBatch) -> impl Iterator<Item = After> + '_ {
    let changed = batch.accounts.iter().filter(|change| change.before != change.after);
    changed.map(|change| (change.address, change.after))
}

fn values(batch: &DurableBatch) -> impl Iterator<Item = (Address, U256, U256)> + '_ {
    batch.slots.iter().map(|change| (change.address, change.slot, change.after))
}

/// Collects the changes that `list` states, without values that are the same as before the block.
fn batch<S: Snapshot>(
    reader: &StateReader<S>,
    list: &AccessList,
) -> Result<DurableBatch, StoreError> {
    let mut batch = DurableBatch::default();
    for account in list.iter() {
        let address = account.address;
        let slots_before = batch.slots.len();
        for slot in &account.storage_changes {
            let Some(last) = slot.changes.last() else { continue };
            let (slot, after) = (slot.slot, last.new_value);
            let before = reader.storage_ref(address, slot)?;
            if before != after {
                batch.slots.push(SlotChange { address, slot, before, after });
            }
        }
        let before = reader.account(address)?;
        let mut after = before.unwrap_or_else(AccountRecord::empty);
        if let Some(last) = account.balance_changes.last() {
            after.balance = last.post_balance;
        }
        if let Some(last) = account.nonce_changes.last() {
            after.nonce = last.new_nonce;
        }
        if let Some(last) = account.code_changes.last() {
            after.code_hash = keccak256(&last.new_code);
        }
        let after = (after != AccountRecord::empty()).then_some(after);
        if before != after || batch.slots.len() > slots_before {
            batch.accounts.push(AccountChange { address, before, after, cleared: false });
        }
    }
    batch.accounts.sort_unstable_by_key(|change| change.address);
    batch.slots.sort_unstable_by_key(|change| (change.address, change.slot));
    Ok(batch)
}

/// Name of the thread that computes a block's trie nodes while the block executes.
const THREAD: &str = "braid-tries";

/// Trie work of a block, done or running on its own thread. Dropping it cancels the work and waits
/// for the thread to end, so that no thread of a dropped chain still uses the store.
#[derive(Debug)]
pub(crate) struct TrieTask {
    cancel: CancellationToken,
    thread: Option<JoinHandle<Option<Ahead>>>,
    done: Option<Ahead>,
}

impl From<Ahead> for TrieTask {
    fn from(ahead: Ahead) -> Self {
        Self { cancel: CancellationToken::new(), thread: None, done: Some(ahead) }
    }
}

impl TrieTask {
    /// Starts a thread that runs `compute`.
    pub(crate) fn start(
        compute: impl FnOnce(&CancellationToken) -> Option<Ahead> + Send + 'static,
    ) -> io::Result<Self> {
        let cancel = CancellationToken::new();
        let run = {
            let cancel = cancel.clone();
            move || compute(&cancel)
        };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(run)?;
        Ok(Self { cancel, thread: Some(thread), done: None })
    }

    /// Waits for the work to end, and returns its result.
    pub(crate) fn join(mut self) -> Option<Ahead> {
        // A panic of the store will recur on the writer's thread.
        let computed = self.thread.take().and_then(|thread| thread.join().ok().flatten());
        computed.or(self.done.take())
    }
}

impl Drop for TrieTask {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            // The work was cancelled, so its result is not used.
            let _ = thread.join();
        }
    }
}

/// A snapshot whose reads fail once the work is cancelled.
#[derive(Clone, Debug)]
struct Cancellable<S> {
    snapshot: S,
    cancel: CancellationToken,
}

impl<S: Snapshot> Snapshot for Cancellable<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.cancel.is_cancelled() {
            return Err(StoreError::Empty);
        }
        self.snapshot.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        let entries = self.snapshot.scan(table, prefix);
        let stops = || self.cancel.is_cancelled().then_some(Err(StoreError::Empty));
        Box::new(entries.map(move |entry| stops().unwrap_or(entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Writes;
    use alloy_primitives::B256;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    };

    const ADDRESS: Address = Address::repeat_byte(7);

    fn head(number: u64) -> Head {
        Head { number, hash: B256::with_last_byte(number as u8) }
    }

    /// An account whose balance changes, and whose slot 1 changes.
    fn changes(balance: u64, value: u64) -> DurableBatch {
        let after = Some(AccountRecord { balance: U256::from(balance), ..AccountRecord::empty() });
        let account = AccountChange { address: ADDRESS, before: None, after, cleared: false };
        let (slot, before, after) = (U256::from(1), U256::ZERO, U256::from(value));
        let slot = SlotChange { address: ADDRESS, slot, before, after };
        DurableBatch { accounts: vec![account], slots: vec![slot], ..DurableBatch::default() }
    }

    #[test]
    fn only_what_the_block_does_is_used() {
        let found = |parent, batch: &DurableBatch| {
            let ahead = Ahead {
                parent: head(3),
                batch: changes(5, 9),
                updated: UpdatedTries {
                    root: B256::repeat_byte(1),
                    nodes: Writes::default(),
                    tries: Tries::default(),
                },
                is_listed: true,
            };
            ahead.is_of(parent, batch)
        };
        assert!(found(head(3), &changes(5, 9)));
        assert!(!found(head(4), &changes(5, 9)), "another parent");
        assert!(!found(head(3), &changes(6, 9)), "another balance");
        assert!(!found(head(3), &changes(5, 8)), "another value");
        let fewer = DurableBatch { slots: Vec::new(), ..changes(5, 9) };
        assert!(!found(head(3), &fewer), "fewer slots");
        let mut cleared = changes(5, 9);
        cleared.accounts[0].cleared = true;
        assert!(!found(head(3), &cleared), "storage that the list cannot tell");
    }

    /// Otherwise, reopening the store could fail because it is still in use.
    #[test]
    fn what_is_dropped_stops_and_has_ended() {
        let ended = Arc::new(AtomicBool::new(false));
        let task = TrieTask::start({
            let ended = Arc::clone(&ended);
            move |cancel| {
                while !cancel.is_cancelled() {
                    thread::yield_now();
                }
                ended.store(true, SeqCst);
                None
            }
        });
        drop(task.expect("a thread"));
        assert!(ended.load(SeqCst));
    }
}
