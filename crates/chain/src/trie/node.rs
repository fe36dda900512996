//! Nodes of a Merkle Patricia trie.

use crate::StoreError;
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::{
    Nibbles, TrieMask,
    nodes::{BranchNode, ExtensionNode, LeafNode, RlpNode, TrieNode},
};

/// A node of a trie. Its key is the part of the path below the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// The only entry below this node's path.
    Leaf {
        /// Remaining part of the entry's key.
        key: Nibbles,
        /// The entry's value.
        value: Vec<u8>,
    },
    /// All entries below this path are below one branch further down.
    Extension {
        /// Path from this node to the branch.
        key: Nibbles,
        /// Reference to the branch.
        child: RlpNode,
    },
    /// Entries below this path differ in the next nibble.
    Branch(Box<Children>),
}

/// The children of a branch, by nibble.
pub(super) type Children = [Option<RlpNode>; 16];

impl Node {
    /// Encodes the node as it is hashed, and as the store holds it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Leaf { key, value } => LeafNode::new(*key, value.clone()).encode(&mut bytes),
            Self::Extension { key, child } => {
                ExtensionNode::new(*key, child.clone()).encode(&mut bytes);
            }
            Self::Branch(children) => {
                let mut mask = TrieMask::default();
                for (nibble, child) in (0..).zip(children.iter()) {
                    if child.is_some() {
                        mask.set_bit(nibble);
                    }
                }
                let stack = children.iter().flatten().cloned().collect();
                BranchNode::new(stack, mask).encode(&mut bytes);
            }
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = |why: &str| StoreError::damaged(format!("a trie node: {why}"));
        let node = TrieNode::decode(&mut &*bytes).map_err(|error| damaged(&error.to_string()))?;
        Ok(match node {
            TrieNode::EmptyRoot => return Err(damaged("an empty one")),
            TrieNode::Leaf(LeafNode { key, value }) => Self::Leaf { key, value },
            TrieNode::Extension(ExtensionNode { key, child }) => Self::Extension { key, child },
            TrieNode::Branch(branch) => {
                let mut children = Box::new(Children::default());
                let present = children.iter_mut().zip(0_u8..);
                let present = present.filter(|(_, nibble)| branch.state_mask.is_bit_set(*nibble));
                for ((child, _), node) in present.zip(branch.stack) {
                    *child = Some(node);
                }
                Self::Branch(children)
            }
        })
    }
}
