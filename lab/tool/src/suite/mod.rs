//! The official test suites: `GeneralStateTests` and `BlockchainTests` as ethereum/tests and
//! execution-spec-tests write them.
//!
//! [`sources`] finds the files, also inside an archive. [`state_test`] runs one transaction on a
//! state and compares the root and the logs, or makes one block of all transactions of a file and
//! compares the run with plain revm. [`block_test`] runs whole chains.
//!
//! Reading is lenient, as the files come from several generators and years: unknown fields are
//! passed over, numbers may be written in any way. What is checked is strict.

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

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not as it should; one line.
    Failed(String),
    /// It was not run, and why not.
    Skipped(String),
}

/// What kind of test a JSON object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One transaction on a state.
    State,
    /// A chain of blocks.
    Blocks,
    /// A chain of payloads for the Engine API, which is another face of the same blocks.
    Engine,
    /// Anything else.
    Other,
}

/// The tests of a file by name, not taken apart yet. JSON that is no object has none.
///
/// # Errors
/// What is no JSON.
pub fn tests_in(json: &[u8]) -> Result<BTreeMap<String, Box<RawValue>>, serde_json::Error> {
    let whole: &RawValue = serde_json::from_slice(json)?;
    if whole.get().starts_with('{') {
        serde_json::from_str(whole.get())
    } else {
        Ok(BTreeMap::new())
    }
}

/// Tells the kind of a test by the fields that it has.
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
