//! Nodes of a Merkle Patricia trie, decoded.

use crate::StoreError;
use alloy_rlp::{BufMut, Decodable, EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::{
    Nibbles, TrieMask,
    nodes::{
        BranchNode, ExtensionNode, ExtensionNodeRef, LeafNode, LeafNodeRef, RlpNode, TrieNode,
    },
};
use std::sync::Arc;

/// A node of a trie. Its key is the part of the path below the node.
#[derive(Clone, Debug)]
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
        /// The branch. Boxed, because extensions are rare and would make every node larger.
        child: Box<Child>,
    },
    /// Entries below this path differ in the next nibble.
    Branch(Children),
}

/// A node as its parent knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Child {
    /// Reference to the node, as the encoded parent contains it. Outdated while the node is
    /// `changed`, and empty if the node is new.
    pub(super) reference: RlpNode,
    /// The node, if it is in memory.
    pub(super) node: Option<Arc<Node>>,
    /// Number of the last update that read or changed the node.
    pub(super) used: u32,
    /// Whether the node has changed since it was last encoded.
    pub(super) changed: bool,
}

impl Child {
    /// A node that only the store has.
    pub(super) fn stored(reference: RlpNode) -> Self {
        Self { reference, ..Self::default() }
    }

    /// A node that is new, or has changed.
    pub(super) fn changed(reference: RlpNode, node: Arc<Node>) -> Self {
        Self { reference, node: Some(node), used: 0, changed: true }
    }

    pub(super) fn is_branch(&self) -> bool {
        matches!(self.node.as_deref(), Some(Node::Branch(_)))
    }
}

/// The children of a branch, by nibble.
#[derive(Clone, Debug, Default)]
pub(super) struct Children {
    present: TrieMask,
    /// One for each bit of `present`.
    nodes: Vec<Child>,
}

impl Children {
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the position in `nodes` of the child at `nibble`, or the position where to insert
    /// it.
    fn position(&self, nibble: u8) -> Result<usize, usize> {
        let lower = (1_u16 << nibble).wrapping_sub(1);
        let position = (self.present.get() & lower).count_ones() as usize;
        if self.present.is_bit_set(nibble) { Ok(position) } else { Err(position) }
    }

    pub(super) fn get(&self, nibble: u8) -> Option<&Child> {
        self.position(nibble).ok().and_then(|at| self.nodes.get(at))
    }

    pub(super) fn get_mut(&mut self, nibble: u8) -> Option<&mut Child> {
        self.position(nibble).ok().and_then(|at| self.nodes.get_mut(at))
    }

    /// Returns the first child, and its nibble.
    pub(super) fn into_first(self) -> Option<(u8, Child)> {
        self.present.iter().zip(self.nodes).next()
    }

    /// Sets or removes the child at `nibble`.
    pub(super) fn set(&mut self, nibble: u8, child: Option<Child>) {
        match (self.position(nibble), child) {
            (Ok(at), Some(child)) => {
                if let Some(place) = self.nodes.get_mut(at) {
                    *place = child;
                }
            }
            (Ok(at), None) => {
                self.present.unset_bit(nibble);
                self.nodes.remove(at);
            }
            (Err(at), Some(child)) => {
                self.present.set_bit(nibble);
                self.nodes.insert(at, child);
            }
            (Err(_), None) => {}
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &Child)> {
        self.present.iter().zip(&self.nodes)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u8, &mut Child)> {
        self.present.iter().zip(&mut self.nodes)
    }

    fn encode(&self) -> Vec<u8> {
        // One byte for each missing child, and one for the value that no branch has.
        let empty = 17_usize.saturating_sub(self.nodes.len());
        let payload_length =
            self.nodes.iter().fold(empty, |sum, child| sum.saturating_add(child.reference.len()));
        let header = Header { list: true, payload_length };
        let mut bytes = Vec::with_capacity(header.length_with_payload());
        header.encode(&mut bytes);
        for nibble in 0..16 {
            match self.get(nibble) {
                Some(child) => bytes.put_slice(&child.reference),
                None => bytes.put_u8(EMPTY_STRING_CODE),
            }
        }
        bytes.put_u8(EMPTY_STRING_CODE);
        bytes
    }
}

impl Node {
    /// Encodes the node as it is hashed, and as the store holds it. No child may be
    /// [`changed`](Child::changed).
    pub(super) fn encode(&self) -> Vec<u8> {
        let encode = |node: &dyn Encodable| {
            let mut bytes = Vec::with_capacity(node.length());
            node.encode(&mut bytes);
            bytes
        };
        match self {
            Self::Leaf { key, value } => encode(&LeafNodeRef { key, value }),
            Self::Extension { key, child } => {
                encode(&ExtensionNodeRef { key, child: &child.reference })
            }
            Self::Branch(children) => children.encode(),
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = |why: &str| StoreError::damaged(format!("a trie node: {why}"));
        let node = TrieNode::decode(&mut &*bytes).map_err(|error| damaged(&error.to_string()))?;
        Ok(match node {
            TrieNode::EmptyRoot => return Err(damaged("an empty one")),
            TrieNode::Leaf(LeafNode { key, value }) => Self::Leaf { key, value },
            TrieNode::Extension(ExtensionNode { key, child }) => {
                Self::Extension { key, child: Box::new(Child::stored(child)) }
            }
            TrieNode::Branch(BranchNode { stack, state_mask: present }) => {
                let nodes = stack.into_iter().map(Child::stored).collect();
                Self::Branch(Children { present, nodes })
            }
        })
    }

    /// Returns about how many bytes of memory the node takes, without the nodes below it.
    pub(super) fn bytes(&self) -> u64 {
        // An `Arc` holds two counts.
        const FIXED: usize = size_of::<Node>() + 2 * size_of::<usize>();
        let more = match self {
            Self::Leaf { value, .. } => value.capacity(),
            Self::Extension { .. } => size_of::<Child>(),
            Self::Branch(children) => children.nodes.capacity().saturating_mul(size_of::<Child>()),
        };
        FIXED.saturating_add(more) as u64
    }
}
