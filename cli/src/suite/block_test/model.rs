//! Block tests as they are written.

use crate::suite::{
    database::Accounts,
    network::Config,
    read::{self, Number},
};
use alloy_primitives::{B256, Bytes};
use serde::Deserialize;

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
}
