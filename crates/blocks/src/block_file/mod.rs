//! Block files: one block with the state it reads, in JSON, plain or compressed with gzip or zstd.
//!
//! A file holds the block as `eth_getBlockByNumber` returns it, every account and slot that
//! executing it reads, the codes by hash, the block hashes that `BLOCKHASH` reads, and the expected
//! results. Reading never panics, whatever the input: every error names the file, the field and the
//! expected value.
//!
//! [`BlockFile::to_block`] converts a file to the input of the executors; [`FileDatabase`] answers
//! their reads as a node's database would.

mod convert;
mod database;
mod diagnose;
mod error;
mod read;
mod signatures;
mod write;

pub use database::FileDatabase;
pub use error::{BlockFileError, BlockFileErrorKind, FieldError, advice, missing_folder};
pub(crate) use read::{GZIP_MAGIC, ZSTD_MAGIC};
pub use read::{MAX_UNPACKED_BYTES, is_block_file_name};

use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names standard input or output in place of a file.
pub const STANDARD_STREAM: &str = "-";

/// One block with everything that executing it needs, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockFile {
    /// Chain, fork and provenance.
    pub meta: Meta,
    /// The block with whole transactions, including `from`.
    pub block: alloy_rpc_types_eth::Block,
    /// Headers of the ommers that receive rewards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ommers: Vec<alloy_consensus::Header>,
    /// State before the block and before its system calls. Accounts that are not listed do not
    /// exist.
    pub pre_state: BTreeMap<Address, PreAccount>,
    /// Codes by their Keccak-256 hash.
    pub codes: BTreeMap<B256, Bytes>,
    /// Hashes of earlier blocks by number; the parent's is in the block's header.
    #[serde(default)]
    pub block_hashes: BTreeMap<u64, B256>,
    /// Known results of executing the block.
    #[serde(default)]
    pub expected: Expected,
}

/// Chain, fork and provenance of a block file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Name of the fork whose rules the block follows, one of [`crate::fork::FORKS`].
    pub fork: String,
    /// Origin of the block.
    #[serde(default)]
    pub source: String,
    /// License of the data.
    #[serde(default)]
    pub license: String,
    /// Remarks of the program that wrote the file.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Fields with invented values; empty for a block of a real chain.
    #[serde(default)]
    pub synthetic: Vec<String>,
    /// Code hashes that are in `pre_state` but not in `codes`, because the block never loads the
    /// code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent_codes: Vec<B256>,
    /// Whether there is a state witness beside the file.
    #[serde(default)]
    pub witness: bool,
    /// Checks that the program that wrote the file has made.
    #[serde(default)]
    pub verified: Vec<String>,
    /// Whether the chain has no contracts for requests (EIP-7002, EIP-7251), so that none is
    /// called.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub without_requests: bool,
}

/// An account before the block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreAccount {
    /// Balance in wei.
    pub balance: U256,
    /// Number of transactions sent or, for a contract, of contracts created plus one.
    #[serde(with = "quantity")]
    pub nonce: u64,
    /// Hash of the code; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_hash: Option<B256>,
    /// Storage slots; a slot that is not listed is 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<U256, U256>,
}

/// Expected results of the block; an absent field is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// Gas used by the whole block.
    #[serde(default)]
    pub gas_used: Option<u64>,
    /// Root of the receipts trie.
    #[serde(default)]
    pub receipts_root: Option<B256>,
    /// Bloom filter of all logs.
    #[serde(default)]
    pub logs_bloom: Option<Bloom>,
    /// State root after the block.
    #[serde(default)]
    pub state_root: Option<B256>,
    /// EIP-7685 hash of the requests; null before Prague.
    #[serde(default)]
    pub requests_hash: Option<B256>,
    /// Gas used by each transaction.
    #[serde(default)]
    pub tx_gas_used: Option<Vec<u64>>,
    /// Whether each transaction succeeded.
    #[serde(default)]
    pub tx_success: Option<Vec<bool>>,
}

/// A 64-bit number as an Ethereum hex quantity.
mod quantity {
    use alloy_primitives::U64;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        U64::from(*value).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        U64::deserialize(deserializer).map(|value| value.to::<u64>())
    }
}
