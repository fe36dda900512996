//! The official test suites: `GeneralStateTests` and `BlockchainTests` in the formats of
//! ethereum/tests and execution-spec-tests.
//!
//! [`sources`] finds the files, including those in archives. [`state_test`] runs one transaction on
//! a state and compares the root and the logs, or puts all transactions of a file into one block
//! and compares the execution with plain revm. [`block_test`] runs whole chains.
//!
//! Parsing is lenient, because the files come from several generators and years: unknown fields are
//! ignored, and numbers may have any notation. The comparison of results is strict.

pub mod block_test;
pub mod database;
pub mod exceptions;
pub mod network;
mod read;
pub mod sources;
pub mod state_test;

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Verdict on a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The test passed.
    Passed,
    /// The test failed, with a one-line reason.
    Failed(String),
    /// The test was not run, with the reason.
    Skipped(String),
}

/// Kind of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One transaction on a state.
    State,
    /// A chain of blocks.
    Blocks,
    /// A chain of Engine API payloads, which contain the same blocks.
    Engine,
    /// Any other kind.
    Other,
}

/// Returns the tests of a file by name, without parsing them. JSON that is not an object has none.
///
/// # Errors
/// Returns an error if `json` is not valid JSON.
pub fn tests_in(json: &[u8]) -> Result<BTreeMap<String, Box<RawValue>>, serde_json::Error> {
    let whole: &RawValue = serde_json::from_slice(json)?;
    if whole.get().starts_with('{') {
        serde_json::from_str(whole.get())
    } else {
        Ok(BTreeMap::new())
    }
}

/// Determines the kind of a test from its fields.
#[must_use]
pub fn kind(test: &RawValue) -> Kind {
    #[derive(Deserialize)]
    struct Fields {
        post: Option<serde::de::IgnoredAny>,
        transaction: Option<serde::de::IgnoredAny>,
        blocks: Option<serde::de::IgnoredAny>,
        #[serde(rename = "engineNewPayloads")]
        engine_new_payloads: Option<serde::de::IgnoredAny>,
    }
    match serde_json::from_str::<Fields>(test.get()) {
        Ok(Fields { blocks: Some(_), .. }) => Kind::Blocks,
        Ok(Fields { engine_new_payloads: Some(_), .. }) => Kind::Engine,
        Ok(Fields { post: Some(_), transaction: Some(_), .. }) => Kind::State,
        _ => Kind::Other,
    }
}
