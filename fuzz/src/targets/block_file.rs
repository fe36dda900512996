//! Block files, from reading to execution: arbitrary bytes, and valid files with changed fields.

use super::blocks::{self, seed_of};
use super::chosen;
use arbitrary::Unstructured;
use braid_blocks::block_file::BlockFile;
use braid_blocks::workload::Workload;
use braid_testkit::hostile::files::{edges, good_file, pointers, remove};
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// Maximum number of changed fields.
const MOST_SPOILT: usize = 4;

/// A valid file, with pointers to all its values.
struct Good {
    json: Value,
    pointers: Vec<String>,
}

static GOOD: LazyLock<Vec<Good>> = LazyLock::new(|| {
    let good = |workload| {
        let json = serde_json::to_value(good_file(workload, 9, 80).expect("generates"));
        let json = json.expect("serialises");
        Good { pointers: pointers(&json), json }
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
            spoilt = spoil(&GOOD[usize::from(kind) % GOOD.len()], rest).to_string();
            spoilt.as_bytes()
        }
    };
    match BlockFile::from_bytes(json) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.to_string().contains("expected") => Ok(None),
        Err(error) => Err(format!("the error does not say what was expected: {error}")),
    }
}

/// Returns a valid file in which the bytes select fields to replace or remove.
fn spoil(good: &Good, bytes: &[u8]) -> Value {
    let (mut json, mut bytes) = (good.json.clone(), Unstructured::new(bytes));
    for _ in 0..MOST_SPOILT {
        if bytes.is_empty() {
            break;
        }
        let (Ok(at), Ok(how)) = (bytes.choose(&good.pointers), bytes.int_in_range(0..=9_u8)) else {
            break;
        };
        if how == 0 {
            remove(&mut json, at);
        } else if let (Some(field), Ok(edge)) = (json.pointer_mut(at), bytes.choose(&EDGES)) {
            *field = edge.clone();
        }
    }
    json
}
