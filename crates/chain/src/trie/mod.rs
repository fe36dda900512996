//! The state trie and the storage tries, updated block by block.
//!
//! The store holds each node under its trie and its path, one byte per nibble, in the encoding that
//! is hashed. An update descends from the root to the changed entries, and writes the nodes on the
//! way back, so its cost depends on the changes and not on the size of the state.

mod cache;
mod node;
mod nodes;
mod proof;
mod update;
mod walk;

pub use cache::CacheUse;
pub(crate) use cache::{CacheCounts, CachedNodes, NodeCache};
pub(crate) use proof::{prove_account, prove_slot};
pub(crate) use walk::walk;

use crate::{AccountRecord, DurableBatch, Snapshot, StoreError, Writes};
use alloy_primitives::{Address, B256, keccak256, map::AddressMap};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use node::Node;
use nodes::{Nodes, Owner};
use std::{num::NonZeroUsize, thread};
use update::{Change, Value, apply, collapse, update};

/// With fewer changed entries than this, starting a thread costs more than it saves.
const ENTRIES_FOR_A_THREAD: usize = 128;

/// Applies `batch` to all tries, adds the changed nodes to `writes`, and returns the state root.
pub(crate) fn update_state<S: Snapshot>(
    snapshot: &S,
    batch: &DurableBatch,
    threads: NonZeroUsize,
    writes: &mut Writes,
) -> Result<B256, StoreError> {
    let jobs = storage_jobs(batch)?;
    let slots = batch.slots.len();
    let storage = in_parallel(threads, slots, jobs, |job| storage_trie(snapshot, job))?;
    let mut roots = AddressMap::default();
    for (address, root, nodes) in storage {
        roots.insert(address, root);
        nodes.write(writes);
    }
    let changed = batch
        .accounts
        .iter()
        .filter(|change| change.before != change.after || roots.contains_key(&change.address));
    let leaves = changed.map(|change| (change.address, change.after)).collect();
    let leaf = |(address, after)| Ok(leaf(address, after, roots.get(&address).copied()));
    let mut leaves = in_parallel(threads, batch.accounts.len(), leaves, leaf)?;
    leaves.sort_unstable_by_key(|(key, _)| *key);
    let mut nodes = Nodes::new(snapshot, Owner::State);
    update_wide(&mut nodes, &leaves, threads)?;
    let root = nodes.root()?;
    nodes.write(writes);
    Ok(root)
}

/// Changes of one account's storage.
struct StorageJob<'b> {
    address: Address,
    cleared: bool,
    slots: &'b [crate::SlotChange],
}

/// Returns one job for each account whose storage changes.
///
/// # Errors
/// Accounts or slots are not in strictly ascending order, or a slot has no account: the computed
/// root would be wrong.
fn storage_jobs(batch: &DurableBatch) -> Result<Vec<StorageJob<'_>>, StoreError> {
    let refused = |why| StoreError::Batch { number: batch.head.number, why };
    if !batch.accounts.is_sorted_by(|one, next| one.address < next.address) {
        return Err(refused("its accounts are in another order, or one is there twice".to_owned()));
    }
    let key = |change: &crate::SlotChange| (change.address, change.slot);
    if !batch.slots.is_sorted_by(|one, next| key(one) < key(next)) {
        return Err(refused("its slots are in another order, or one is there twice".to_owned()));
    }
    let groups = batch.slots.chunk_by(|one, other| one.address == other.address);
    let mut groups = groups.peekable();
    let mut jobs = Vec::new();
    for change in &batch.accounts {
        // Accounts and slots are both sorted by address.
        let of_account = |slots: &&[crate::SlotChange]| {
            slots.first().is_some_and(|slot| slot.address == change.address)
        };
        let slots = groups.next_if(of_account).unwrap_or_default();
        if change.cleared || !slots.is_empty() {
            jobs.push(StorageJob { address: change.address, cleared: change.cleared, slots });
        }
    }
    // A group without an account is never taken, so it is the first one that remains.
    if let Some(slot) = groups.next().and_then(<[_]>::first) {
        return Err(refused(format!("a slot of {} is there, and not the account", slot.address)));
    }
    Ok(jobs)
}

type StorageResult<'s, S> = (Address, B256, Nodes<'s, S>);

fn storage_trie<'s, S: Snapshot>(
    snapshot: &'s S,
    job: StorageJob<'_>,
) -> Result<StorageResult<'s, S>, StoreError> {
    let mut nodes = Nodes::new(snapshot, Owner::Storage(keccak256(job.address)));
    if job.cleared {
        nodes.clear()?;
    }
    let entry = |slot: &crate::SlotChange| {
        let value = (!slot.after.is_zero()).then(|| Value::Bytes(alloy_rlp::encode(slot.after)));
        (hashed(slot.slot.to_be_bytes::<32>()), value)
    };
    let mut changes: Vec<Change> = job.slots.iter().map(entry).collect();
    changes.sort_unstable_by_key(|(key, _)| *key);
    update(&mut nodes, &changes)?;
    Ok((job.address, nodes.root()?, nodes))
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

/// Like [`update`], but updates the children of the root on several threads.
fn update_wide<S: Snapshot>(
    nodes: &mut Nodes<'_, S>,
    changes: &[Change],
    threads: NonZeroUsize,
) -> Result<(), StoreError> {
    let root = Nibbles::default();
    let Some(Node::Branch(mut children)) = nodes.get(&root)? else { return update(nodes, changes) };
    if threads.get() == 1 || changes.len() < ENTRIES_FOR_A_THREAD {
        return update(nodes, changes);
    }
    let groups: Vec<_> =
        changes.chunk_by(|(one, _), (other, _)| one.first() == other.first()).collect();
    let shared = &*nodes;
    let one = |group: &[Change]| {
        let mut nodes = shared.beside();
        let below = group.first().map(|(key, _)| key.slice(..1)).unwrap_or_default();
        let child = nodes.get(&below)?;
        let child = apply(&mut nodes, &below, child, group)?;
        let reference = nodes.put(&below, child.as_ref());
        Ok((below.first().unwrap_or_default(), reference, nodes))
    };
    for (nibble, reference, changed) in in_parallel(threads, changes.len(), groups, one)? {
        if let Some(child) = children.get_mut(usize::from(nibble)) {
            *child = reference;
        }
        nodes.merge(changed);
    }
    let node = collapse(nodes, &root, children)?;
    nodes.put(&root, node.as_ref());
    Ok(())
}

/// Runs `run` for each job, on several threads if there are many `entries`. Results are in the
/// order of the jobs.
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
    let share = jobs.len().div_ceil(threads);
    let mut jobs = jobs.into_iter();
    let mut shares: Vec<Vec<J>> = Vec::new();
    while jobs.len() > 0 {
        shares.push(jobs.by_ref().take(share).collect());
    }
    let run = &run;
    let all = |share: Vec<J>| share.into_iter().map(run).collect::<Result<Vec<T>, _>>();
    thread::scope(|scope| {
        let mine = shares.pop().unwrap_or_default();
        let others: Vec<_> =
            shares.into_iter().map(|share| scope.spawn(move || all(share))).collect();
        let last = all(mine);
        let mut found = Vec::new();
        for other in others {
            // Propagate a panic of the backend to this thread.
            found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        found.extend(last?);
        Ok(found)
    })
}

/// Returns the storage root of the account whose address has this hash.
pub(crate) fn storage_root<S: Snapshot>(snapshot: &S, hash: B256) -> Result<B256, StoreError> {
    Nodes::new(snapshot, Owner::Storage(hash)).root()
}

/// Returns the root of the state trie.
pub(crate) fn state_root<S: Snapshot>(snapshot: &S) -> Result<B256, StoreError> {
    Nodes::new(snapshot, Owner::State).root()
}

/// Root of a trie without entries.
pub(crate) const EMPTY_ROOT: B256 = EMPTY_ROOT_HASH;

#[cfg(test)]
mod tests;
