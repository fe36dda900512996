//! The state trie and the storage tries, updated block by block.
//!
//! The store holds each node under its trie and its path, one byte per nibble, in the encoding that
//! is hashed. An update descends from the root to the changed entries, so its cost depends on the
//! changes and not on the size of the state. It changes decoded nodes in memory, which stay there
//! for the next block, and encodes and writes each changed node once.

mod cache;
mod node;
mod nodes;
mod overlay;
mod proof;
mod tries;
mod update;
mod walk;

pub use cache::CacheUse;
pub(crate) use cache::{CacheCounts, NodeCache};
pub(crate) use overlay::{ChangedNodes, NodeOverlay, changes_of};
pub(crate) use proof::{prove_account, prove_slot};
pub(crate) use tries::Tries;
pub(crate) use walk::walk;

use crate::{AccountChange, AccountRecord, DurableBatch, SlotChange, Snapshot, StoreError, Writes};
use alloy_primitives::{Address, B256, keccak256, map::AddressMap};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use node::{Child, Node};
use nodes::{Owner, root_hash};
use std::{
    mem,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    thread,
};
use update::{Change, Effects, Update, Value, below, by_nibble};

/// With fewer changed entries than this, starting a thread costs more than it saves.
const ENTRIES_FOR_A_THREAD: usize = 128;

/// The tries after a block.
#[derive(Debug)]
pub(crate) struct UpdatedTries {
    /// The state root.
    pub(crate) root: B256,
    /// Changed nodes, each once.
    pub(crate) nodes: Writes,
    /// The changed tries.
    pub(crate) tries: Tries,
}

impl UpdatedTries {
    /// Applies `batch` to the tries of `snapshot`. `tries` holds the part that is in memory.
    pub(crate) fn new<S: Snapshot>(
        snapshot: &S,
        mut tries: Tries,
        batch: &DurableBatch,
        threads: NonZeroUsize,
    ) -> Result<Self, StoreError> {
        let number = tries.begin_update();
        let mut nodes = Writes::default();
        let jobs = storage_jobs(batch, &mut tries)?;
        let (wide, narrow): (Vec<_>, _) =
            jobs.into_iter().partition(|job| job.slots.len() > ENTRIES_FOR_A_THREAD);
        let run = |job, threads| storage_trie(snapshot, number, job, threads);
        let mut storage = Vec::new();
        for job in wide {
            storage.push(run(job, threads)?);
        }
        let one = |job| run(job, NonZeroUsize::MIN);
        storage.extend(in_parallel(threads, batch.slots.len(), narrow, one)?);
        let mut roots = AddressMap::default();
        for (address, root, effects) in storage {
            roots.insert(address, root_hash(root.as_ref()));
            tries.note(effects, &mut nodes);
            tries.storage.insert(address, root);
        }
        let leaves = leaves(batch, &roots, threads)?;
        let mut update = Update::new(snapshot, Owner::State, number);
        let root = update.root(tries.state.take())?;
        tries.state = update_trie(&mut update, root, &leaves, threads)?;
        tries.note(update.end(), &mut nodes);
        Ok(Self { root: root_hash(tries.state.as_ref()), nodes, tries })
    }
}

/// Changes of one account's storage.
struct StorageJob<'b> {
    address: Address,
    /// Root of the storage trie, if it is in memory.
    root: Option<Child>,
    cleared: bool,
    slots: &'b [SlotChange],
}

/// Returns one job for each account whose storage changes. Takes the roots out of `tries`.
///
/// # Errors
/// Accounts or slots are not in strictly ascending order, or a slot has no account: the computed
/// root would be wrong.
fn storage_jobs<'b>(
    batch: &'b DurableBatch,
    tries: &mut Tries,
) -> Result<Vec<StorageJob<'b>>, StoreError> {
    let refused = |why| StoreError::Batch { number: batch.head.number, why };
    if !batch.accounts.is_sorted_by(|one, next| one.address < next.address) {
        return Err(refused("its accounts are in another order, or one is there twice".to_owned()));
    }
    let key = |change: &SlotChange| (change.address, change.slot);
    if !batch.slots.is_sorted_by(|one, next| key(one) < key(next)) {
        return Err(refused("its slots are in another order, or one is there twice".to_owned()));
    }
    let groups = batch.slots.chunk_by(|one, other| one.address == other.address);
    let mut groups = groups.peekable();
    let mut jobs = Vec::new();
    for &AccountChange { address, cleared, .. } in &batch.accounts {
        // Accounts and slots are both sorted by address.
        let of_account =
            |slots: &&[SlotChange]| slots.first().is_some_and(|slot| slot.address == address);
        let slots = groups.next_if(of_account).unwrap_or_default();
        if cleared || !slots.is_empty() {
            let root = tries.storage.remove(&address).flatten();
            jobs.push(StorageJob { address, root, cleared, slots });
        }
    }
    // A group without an account is never taken, so it is the first one that remains.
    if let Some(slot) = groups.next().and_then(<[_]>::first) {
        return Err(refused(format!("a slot of {} is there, and not the account", slot.address)));
    }
    Ok(jobs)
}

fn storage_trie<S: Snapshot>(
    snapshot: &S,
    number: u32,
    job: StorageJob<'_>,
    threads: NonZeroUsize,
) -> Result<(Address, Option<Child>, Effects), StoreError> {
    let mut update = Update::new(snapshot, Owner::storage(job.address), number);
    let root = if job.cleared {
        update.clear()?;
        None
    } else {
        update.root(job.root)?
    };
    let entry = |slot: &SlotChange| {
        let value = (!slot.after.is_zero()).then(|| Value::Bytes(alloy_rlp::encode(slot.after)));
        (hashed(slot.slot.to_be_bytes::<32>()), value)
    };
    let mut changes: Vec<Change> = job.slots.iter().map(entry).collect();
    changes.sort_unstable_by_key(|(key, _)| *key);
    let root = update_trie(&mut update, root, &changes, threads)?;
    Ok((job.address, root, update.end()))
}

/// Returns the changed entries of the state trie, sorted by key. `roots` are the changed storage
/// roots.
fn leaves(
    batch: &DurableBatch,
    roots: &AddressMap<B256>,
    threads: NonZeroUsize,
) -> Result<Vec<Change>, StoreError> {
    let is_changed = |change: &&AccountChange| {
        change.before != change.after || roots.contains_key(&change.address)
    };
    let leaf = |change: &AccountChange| {
        leaf(change.address, change.after, roots.get(&change.address).copied())
    };
    let some = |changes: &[AccountChange]| {
        Ok(changes.iter().filter(is_changed).map(leaf).collect::<Vec<_>>())
    };
    let jobs = batch.accounts.chunks(ENTRIES_FOR_A_THREAD).collect();
    let leaves = in_parallel(threads, batch.accounts.len(), jobs, some)?;
    let mut leaves: Vec<Change> = leaves.into_iter().flatten().collect();
    leaves.sort_unstable_by_key(|(key, _)| *key);
    Ok(leaves)
}

/// Makes the state trie's entry of an account. `root` is its storage root, if the storage changed.
fn leaf(address: Address, after: Option<AccountRecord>, root: Option<B256>) -> Change {
    let value = |account| match root {
        Some(root) => Value::Bytes(encode_account(account, root)),
        None => Value::Account(account),
    };
    (hashed(address), after.map(value))
}

/// Encodes an account as a value of the state trie.
pub(crate) fn encode_account(account: AccountRecord, storage_root: B256) -> Vec<u8> {
    let AccountRecord { nonce, balance, code_hash } = account;
    let mut bytes = Vec::new();
    TrieAccount { nonce, balance, storage_root, code_hash }.encode(&mut bytes);
    bytes
}

fn hashed(key: impl AsRef<[u8]>) -> Nibbles {
    Nibbles::unpack(keccak256(key))
}

/// Applies `changes` to a whole trie, and encodes the changed nodes. The changes must be sorted by
/// key, without duplicates.
fn update_trie<S: Snapshot>(
    update: &mut Update<'_, S>,
    mut root: Option<Child>,
    changes: &[Change],
    threads: NonZeroUsize,
) -> Result<Option<Child>, StoreError> {
    if changes.is_empty() {
        return Ok(root);
    }
    let mut rest = changes;
    if threads.get() > 1
        && changes.len() > ENTRIES_FOR_A_THREAD
        && let Some(node) = root.as_mut().and_then(|root| root.node.as_mut())
        && let Node::Branch(children) = Arc::make_mut(node)
    {
        let jobs = by_nibble(0, changes).map(|(nibble, group)| {
            let child = children.get_mut(nibble).map(mem::take);
            (nibble, child, group)
        });
        let shared = &*update;
        let one = |(nibble, child, group)| {
            let (mut update, path) = (shared.beside(), below(&Nibbles::default(), nibble));
            let mut child = update.apply(&path, child, group)?;
            // Another node may yet move into the root, if it is the only one left.
            if let Some(child) = child.as_mut().filter(|child| child.is_branch()) {
                update.encode(&path, child);
            }
            Ok((nibble, child, update))
        };
        for (nibble, child, changed) in in_parallel(threads, changes.len(), jobs.collect(), one)? {
            children.set(nibble, child);
            update.merge(changed);
        }
        rest = &[];
    }
    let path = Nibbles::default();
    let mut root = update.apply(&path, root, rest)?;
    if let Some(root) = &mut root {
        update.encode(&path, root);
    }
    Ok(root)
}

/// Runs `run` for each job, on several threads if there are many `entries`. Results are in any
/// order.
fn in_parallel<J: Send, T: Send>(
    threads: NonZeroUsize,
    entries: usize,
    jobs: Vec<J>,
    run: impl Fn(J) -> Result<T, StoreError> + Sync,
) -> Result<Vec<T>, StoreError> {
    let threads = threads.get().min(entries / ENTRIES_FOR_A_THREAD).min(jobs.len());
    if threads < 2 {
        return jobs.into_iter().map(run).collect();
    }
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || std::iter::from_fn(next).map(&run).collect::<Result<Vec<T>, _>>();
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let mut found = Vec::new();
        for other in others {
            // Propagate a panic of the backend to this thread.
            found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        found.extend(mine?);
        Ok(found)
    })
}

/// Returns the storage root of the account whose address has this hash.
pub(crate) fn storage_root<S: Snapshot>(snapshot: &S, hash: B256) -> Result<B256, StoreError> {
    Ok(root_hash(Owner::Storage(hash).root(snapshot)?.as_ref()))
}

/// Returns the root of the state trie.
pub(crate) fn state_root<S: Snapshot>(snapshot: &S) -> Result<B256, StoreError> {
    Ok(root_hash(Owner::State.root(snapshot)?.as_ref()))
}

/// Root of a trie without entries.
pub(crate) const EMPTY_ROOT: B256 = EMPTY_ROOT_HASH;

#[cfg(test)]
mod tests;
