//! Block files from reading to execution: arbitrary bytes, and good files with fields spoilt.

use super::Bugs;
use super::blocks::{self, seed_of};
use arbitrary::Unstructured;
use braid_cli::block_file::BlockFile;
use braid_cli::hostile::files::{edges, good_file, pointers, remove};
use braid_cli::workload::Workload;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// Fields that are spoilt at most.
const MOST_SPOILT: usize = 4;

/// A good file, with pointers to everything in it.
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

pub(super) fn check(bytes: &[u8], bugs: Bugs) -> Result<(), String> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(()) };
    let spoilt;
    let json = match kind % 4 {
        0 => rest,
        kind => {
            spoilt = spoil(&GOOD[usize::from(kind) % GOOD.len()], rest).to_string();
            spoilt.as_bytes()
        }
    };
    let file = match BlockFile::from_bytes(json) {
        Ok(file) => file,
        Err(error) if error.to_string().contains("expected") => return Ok(()),
        Err(error) => return Err(format!("the error does not say what was expected: {error}")),
    };
    // It may say anything, but it must say it.
    let _ = file.check_signatures();
    let Ok((block, database)) = file.to_block() else { return Ok(()) };
    blocks::check(&Arc::new((&block).into()), &database, seed_of(bytes), bugs)
}

/// A good file in which the bytes choose fields to replace or to take away.
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
