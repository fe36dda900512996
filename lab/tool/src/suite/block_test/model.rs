//! Block tests as they are written.

use crate::suite::{
    database::Accounts,
    network::Config,
    read::{self, Number},
};
use alloy_eip7928::bal::Bal;
use alloy_primitives::{B256, Bytes};
use serde::Deserialize;
use std::sync::Arc;

/// One test: a chain of blocks on a state.
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

/// What counts of the first block, which is not executed.
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

/// A block as its bytes, with what is wrong with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestBlock {
    #[serde(default, deserialize_with = "read::bytes")]
    pub(super) rlp: Bytes,
    /// Names of exceptions; none if the block is valid.
    #[serde(default, deserialize_with = "read::exceptions")]
    pub(super) expect_exception: Vec<String>,
    /// The access list that it comes with, which its bytes do not have.
    #[serde(default)]
    block_access_list: Option<List>,
    /// What its bytes stand for; invalid blocks have their list there.
    #[serde(default, rename = "rlp_decoded")]
    decoded: Option<Decoded>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decoded {
    #[serde(default)]
    block_access_list: Option<List>,
}

/// A list, field by field or as RLP.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum List {
    Rlp(Bytes),
    Fields(Box<Bal>),
}

impl TestBlock {
    /// The access list that it comes with.
    ///
    /// # Errors
    /// It is no RLP.
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
