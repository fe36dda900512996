//! Calls, written as text, so that members may be missing, repeated or of a wrong type.

use super::super::reached;
use super::chain::Served;
use arbitrary::{Result, Unstructured};
use serde_json::json;

/// Maximum number of calls in a batch; more than the node allows.
const LONGEST: usize = 10;

/// Ids, valid and invalid. The last one looks like a string by which the node replaces an id that
/// jsonrpsee cannot represent.
const IDS: [&str; 19] = [
    "1",
    "0",
    "-1",
    "1.5",
    "1e3",
    "-0",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "null",
    r#""""#,
    r#""a\"b""#,
    r#""\u0041\ud83d\ude00""#,
    r#""7""#,
    "true",
    "[1]",
    "{}",
    r#"{"id":1}"#,
    r#""braid-id-2c1b5f0a-0""#,
];

/// Values of other members.
const VALUES: [&str; 10] =
    ["2.0", "\"2.0\"", "\"1.0\"", "2", "null", "[]", "{}", "\"\"", "1e400", "\"rpc_modules\""];

/// Returns one call. Without bytes it is a valid one.
pub(super) fn one(served: &Served, bytes: &mut Unstructured<'_>) -> String {
    call(served, bytes).unwrap_or_default()
}

/// Returns several calls.
pub(super) fn batch(served: &Served, bytes: &mut Unstructured<'_>) -> String {
    let count = bytes.int_in_range(0..=LONGEST).unwrap_or_default();
    let calls: Vec<String> = (0..count).map(|_| one(served, bytes)).collect();
    format!("[{}]", calls.join(","))
}

fn call(served: &Served, bytes: &mut Unstructured<'_>) -> Result<String> {
    let sample = bytes.choose(&served.samples)?;
    reached::note(&format!("json_rpc, {}", sample.method));
    let id = IDS[if bytes.ratio(1, 3)? { bytes.choose_index(IDS.len())? } else { 0 }];
    let mut members = vec![
        ("jsonrpc", "\"2.0\"".to_owned()),
        ("id", id.to_owned()),
        ("method", json!(sample.method).to_string()),
    ];
    let (is_odd, length) = (bytes.ratio(1, 6)?, bytes.int_in_range(0..=40_usize)?);
    let mut own = Unstructured::new(bytes.bytes(length.min(bytes.len()))?);
    let params = sample.params.spoilt(&served.edges, &mut own);
    members.push(("params", params.to_string()));
    if is_odd {
        spoil(&mut members, bytes)?;
    }
    let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
    Ok(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
}

/// Removes, repeats, replaces or adds members.
fn spoil(members: &mut Vec<(&str, String)>, bytes: &mut Unstructured<'_>) -> Result<()> {
    let at = bytes.choose_index(members.len())?;
    let value = (*bytes.choose(&VALUES)?).to_owned();
    match bytes.int_in_range(0..=5_u8)? {
        0 | 1 => drop(members.remove(at)),
        2 => members.push(members[at].clone()),
        3 => members.push(("other", value)),
        4 => members.swap(0, at),
        _ => members[at].1 = value,
    }
    Ok(())
}
