//! Malicious block files: valid ones with fields replaced, removed or cut off.

use braid_blocks::block_file::BlockFile;
use braid_blocks::fork::FORKS;
use braid_blocks::workload::{Workload, WorkloadError, WorkloadSpec, generate};
use serde_json::{Value, json};

/// Generates a small valid file, in which `hot` percent of the transactions conflict.
///
/// # Errors
/// Returns an error if the workload cannot be generated.
pub fn good_file(workload: Workload, txs: u32, hot: u8) -> Result<BlockFile, WorkloadError> {
    generate(&WorkloadSpec::new(workload, txs, hot, 5).unsigned())
}

/// Returns values that are invalid in some fields and at the limit in others.
#[must_use]
pub fn edges() -> Vec<Value> {
    let bits = |bits: usize| json!(format!("0x{}", "f".repeat(bits / 4)));
    let mut edges: Vec<Value> = [64, 128, 256, 260, 160].map(bits).into();
    edges.extend([json!("0x0"), json!("0x1"), json!("0x"), json!(""), json!("x"), json!("0x123")]);
    edges.extend([json!(0), json!(1), json!(-1), json!(1.5), json!(u64::MAX), json!(1e300)]);
    edges.extend([json!(null), json!(true), json!([]), json!({}), json!([[]]), json!(["0x1"])]);
    edges.push(json!(format!("0x{}", "0".repeat(512))));
    edges.extend(FORKS.map(|(name, _)| json!(name)));
    edges
}

/// Returns JSON pointers to all leaves and branches of `value`; of a list, only the first two
/// entries.
#[must_use]
pub fn pointers(value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    collect(value, "", &mut out);
    out
}

fn collect(value: &Value, at: &str, out: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, child)| (key.clone(), child)).collect(),
        Value::Array(list) => {
            list.iter().take(2).enumerate().map(|(key, child)| (key.to_string(), child)).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        let at = format!("{at}/{key}");
        collect(child, &at, out);
        out.push(at);
    }
}

/// Removes the value at the pointer `at`.
pub fn remove(value: &mut Value, at: &str) {
    let Some((parent, key)) = at.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.remove(key)),
        Some(Value::Array(list)) => {
            if let Ok(index) = key.parse::<usize>()
                && index < list.len()
            {
                list.remove(index);
            }
        }
        _ => {}
    }
}
