//! Verification of every node of all tries.

use super::{node::Node, nodes::Owner, update::below};
use crate::{Snapshot, StoreError, Table};
use alloy_primitives::B256;
use alloy_trie::{Nibbles, nodes::RlpNode};

/// Checks that each node in the trie of `owner` has the hash that its parent states, and returns
/// the number of nodes.
fn walk_trie<S: Snapshot>(snapshot: &S, owner: Owner) -> Result<u64, StoreError> {
    let mut count = 0_u64;
    let mut stack = vec![(Nibbles::default(), None::<RlpNode>)];
    while let Some((path, reference)) = stack.pop() {
        let node = match owner.node(snapshot, &path)? {
            Some(node) => node,
            None if reference.is_none() => continue,
            None => return Err(StoreError::damaged(format!("no trie node at {path:?}"))),
        };
        count = count.saturating_add(1);
        let found = RlpNode::from_rlp(&node.encode());
        if reference.is_some_and(|reference| reference != found) {
            return Err(StoreError::damaged(format!("the trie node at {path:?} has another hash")));
        }
        match node {
            Node::Leaf { .. } => {}
            Node::Extension { key, child } => stack.push((path.join(&key), Some(child.reference))),
            Node::Branch(children) => {
                for (nibble, child) in children.iter() {
                    stack.push((below(&path, nibble), Some(child.reference.clone())));
                }
            }
        }
    }
    Ok(count)
}

/// Checks every node of the state trie and of the accounts' storage tries, and that the store has
/// no other nodes. `accounts` are the hashes of the accounts' addresses. Returns the number of
/// nodes.
pub(crate) fn walk<S: Snapshot>(
    snapshot: &S,
    accounts: impl Iterator<Item = Result<B256, StoreError>>,
) -> Result<u64, StoreError> {
    let mut count = walk_trie(snapshot, Owner::State)?;
    for hash in accounts {
        count = count.saturating_add(walk_trie(snapshot, Owner::Storage(hash?))?);
    }
    let mut stored = 0_u64;
    for entry in snapshot.scan(Table::Nodes, &[]) {
        entry?;
        stored = stored.saturating_add(1);
    }
    if stored == count {
        return Ok(count);
    }
    Err(StoreError::damaged(format!(
        "{stored} trie nodes, and {count} of them belong to an account"
    )))
}
