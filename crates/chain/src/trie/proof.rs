//! Merkle proofs: the nodes on the path from the root to an entry.

use super::{node::Node, nodes::Owner};
use crate::{Snapshot, StoreError};
use alloy_primitives::{B256, Bytes};
use alloy_trie::Nibbles;

/// Nodes on the path to an entry, from the root on, and the entry's value.
pub(crate) type Proof = (Vec<Bytes>, Option<Vec<u8>>);

/// Proves the account whose address has this hash, or that there is no such account.
pub(crate) fn prove_account<S: Snapshot>(snapshot: &S, hash: B256) -> Result<Proof, StoreError> {
    prove(snapshot, Owner::State, Nibbles::unpack(hash))
}

/// Proves a slot by the hash of its number, in the storage of the account whose address has the
/// hash `account`.
pub(crate) fn prove_slot<S: Snapshot>(
    snapshot: &S,
    account: B256,
    hash: B256,
) -> Result<Proof, StoreError> {
    prove(snapshot, Owner::Storage(account), Nibbles::unpack(hash))
}

/// Collects the nodes on the path to `key`. A node that its parent contains, because it is shorter
/// than a hash, is left out.
fn prove<S: Snapshot>(snapshot: &S, owner: Owner, key: Nibbles) -> Result<Proof, StoreError> {
    let (mut proof, mut path, mut is_in_parent) = (Vec::new(), Nibbles::default(), false);
    // Only the root may be missing: that of an empty trie.
    while let Some(node) = owner.node(snapshot, &path)? {
        if !is_in_parent {
            proof.push(node.encode().into());
        }
        let rest = key.slice(path.len()..);
        let child = match &node {
            Node::Leaf { key, value } => {
                return Ok((proof, (*key == rest).then(|| value.clone())));
            }
            Node::Extension { key, .. } if !rest.starts_with(key) => break,
            Node::Extension { key, child } => {
                path = path.join(key);
                child
            }
            Node::Branch(children) => {
                let Some(nibble) = rest.first() else { break };
                let Some(child) = children.get(nibble) else { break };
                path.push(nibble);
                child
            }
        };
        is_in_parent = child.reference.as_hash().is_none();
    }
    Ok((proof, None))
}
