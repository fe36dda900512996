//! The JSON format of block tests.

use crate::suite::{
    database::Accounts,
    network::Config,
    read::{self, Number},
};
use alloy_eip7928::bal::Bal;
use alloy_primitives::{B256, Bytes};
use serde::Deserialize;
use std::sync::Arc;

/// A test: a chain of blocks on a state.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChainTest {
    pub(super) network: String,
    pub(super) pre: Accounts,
    pub(super) genesis_block_header: Genesis,
    #[serde(default)]
    pub(super) blocks: Vec<TestBlock>,
    pub(super) lastblockhash: B256,
    #[serde(default)]
    pub(super) post_state: Option<Accounts>,
    #[serde(default)]
    pub(super) post_state_hash: Option<B256>,
    #[serde(default)]
    pub(super) config: Config,
}

/// The relevant fields of the first block, which is not executed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Genesis {
    pub(super) hash: B256,
    pub(super) state_root: B256,
    #[serde(default)]
    pub(super) difficulty: Number,
    #[serde(default)]
    pub(super) number: Number,
}

/// A block as bytes, with the expected exceptions.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestBlock {
    #[serde(default, deserialize_with = "read::bytes")]
    pub(super) rlp: Bytes,
    /// Names of exceptions; empty if the block is valid.
    #[serde(default, deserialize_with = "read::exceptions")]
    pub(super) expect_exception: Vec<String>,
    /// The block's access list, which is not part of its bytes.
    #[serde(default)]
    block_access_list: Option<List>,
    /// The decoded block; invalid blocks have their access list here.
    #[serde(default, rename = "rlp_decoded")]
    decoded: Option<Decoded>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decoded {
    #[serde(default)]
    block_access_list: Option<List>,
}

/// An access list, as JSON or as RLP.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum List {
    Rlp(Bytes),
    Fields(Box<Bal>),
}

impl TestBlock {
    /// Returns the block's access list.
    ///
    /// # Errors
    /// Returns an error if the list is not valid RLP.
    pub(super) fn access_list(&self) -> Result<Option<Arc<Bal>>, alloy_rlp::Error> {
        let decoded = self.decoded.as_ref().and_then(|decoded| decoded.block_access_list.as_ref());
        let list = match self.block_access_list.as_ref().or(decoded) {
            Some(List::Rlp(bytes)) => alloy_rlp::decode_exact(bytes)?,
            Some(List::Fields(list)) => Bal::clone(list),
            None => return Ok(None),
        };
        Ok(Some(Arc::new(list)))
    }
}
