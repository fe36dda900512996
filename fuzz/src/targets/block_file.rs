//! Block files, from reading to execution: arbitrary bytes, and valid files with changed fields.

use super::blocks::{self, seed_of};
use super::chosen;
use super::spoilt::Good;
use arbitrary::Unstructured;
use braid_blocks::block_file::BlockFile;
use braid_blocks::workload::Workload;
use braid_testkit::hostile::files::{edges, good_file};
use serde_json::Value;
use std::sync::{Arc, LazyLock};

static GOOD: LazyLock<Vec<Good>> = LazyLock::new(|| {
    let good = |workload| {
        let json = serde_json::to_value(good_file(workload, 9, 80).expect("generates"));
        Good::new(json.expect("serialises"))
    };
    [Workload::Transfers, Workload::Erc20, Workload::Dex].map(good).into()
});

static EDGES: LazyLock<Vec<Value>> = LazyLock::new(edges);

pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let Some(file) = file(bytes)? else { return Ok(()) };
    // The check may accept or reject the signatures, but must not panic.
    let _ = file.check_signatures();
    let Ok((block, database)) = file.to_block() else { return Ok(()) };
    blocks::check(&Arc::new((&block).into()), &database, seed_of(bytes))
}

/// Skips the check of signatures: recovering them takes longer than all the rest.
pub(super) fn fuzz(bytes: &[u8]) -> Result<(), String> {
    let Some(file) = file(bytes)? else { return Ok(()) };
    let Ok((block, database)) = file.to_block() else { return Ok(()) };
    chosen::block((&block).into(), database, bytes)
}

/// Returns the block file that the bytes represent, if they do.
///
/// # Errors
/// Returns the reading error if it does not say what was expected.
fn file(bytes: &[u8]) -> Result<Option<BlockFile>, String> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    let spoilt;
    let json = match kind % 4 {
        0 => rest,
        kind => {
            let good = &GOOD[usize::from(kind) % GOOD.len()];
            spoilt = good.spoilt(&EDGES, &mut Unstructured::new(rest)).to_string();
            spoilt.as_bytes()
        }
    };
    match BlockFile::from_bytes(json) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.to_string().contains("expected") => Ok(None),
        Err(error) => Err(format!("the error does not say what was expected: {error}")),
    }
}
