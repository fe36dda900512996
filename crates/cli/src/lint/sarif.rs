//! Findings in the Static Analysis Results Interchange Format, SARIF 2.1.0.

use super::finding::{Conflict, Finding};
use crate::explain::{Kind, SourceLine};
use alloy_primitives::{hex, keccak256};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Returns the log of a run in `folder` with one result per conflict of these `findings`. Each
/// result has a file and a line, without which GitHub rejects the whole log: a line of source, or
/// the file of a block that shows the conflict.
#[must_use]
pub fn sarif(findings: &[Finding], folder: &Path) -> Value {
    let kinds: Vec<Kind> =
        findings.iter().map(|it| it.kind).collect::<BTreeSet<_>>().into_iter().collect();
    let rules: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "id": id(*kind),
                "shortDescription": { "text": format!("Transactions conflict at a shared {kind}") },
                "help": { "text": kind.advice() },
                "defaultConfiguration": { "level": "warning" },
            })
        })
        .collect();
    let index = |kind: Kind| kinds.iter().position(|it| *it == kind);
    let results: Vec<Value> = findings
        .iter()
        .flat_map(|finding| finding.conflicts.iter().map(move |it| (finding, it)))
        .map(|(finding, conflict)| result(finding, conflict, index(finding.kind), folder))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "braid lint",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            } },
            "columnKind": "utf16CodeUnits",
            "results": results,
        }],
    })
}

/// Returns the name of the rule for locations of this kind.
fn id(kind: Kind) -> String {
    format!("conflict/{}", kind.to_string().replace(' ', "-"))
}

fn result(finding: &Finding, conflict: &Conflict, rule: Option<usize>, folder: &Path) -> Value {
    let Finding { contract, name, .. } = finding;
    let Conflict { variable, functions: [one, other], pairs, locations, .. } = conflict;
    let contract = name.clone().unwrap_or_else(|| contract.to_string());
    let pair = if one == other {
        format!("{one} conflicts with itself")
    } else {
        format!("{one} and {other} conflict")
    };
    let transactions = if *pairs == 1 { "one pair" } else { "pairs" };
    let text = format!(
        "{pair} at {variable} of {contract}: {}{transactions} of transactions. {}",
        if *pairs == 1 { String::new() } else { format!("{pairs} ") },
        finding.advice
    );
    let logical: Vec<Value> = [one, other]
        .iter()
        .map(|function| {
            let name = format!("{contract}.{}", function.id());
            json!({ "fullyQualifiedName": name, "kind": "function" })
        })
        .collect();
    let block = || {
        json!({
            "artifactLocation": artifact(&conflict.example.path, folder),
            "region": { "startLine": 1 },
        })
    };
    let names = format!("{contract} {variable} {} {}", one.id(), other.id());
    let first = conflict.lines.first().map_or_else(block, |line| physical(line, folder));
    let location = json!({ "logicalLocations": logical, "physicalLocation": first });
    let related: Vec<Value> = conflict
        .lines
        .iter()
        .enumerate()
        .skip(1)
        .map(|(id, line)| {
            let message = json!({ "text": format!("{} {variable}", line.does()) });
            json!({ "id": id, "physicalLocation": physical(line, folder), "message": message })
        })
        .collect();
    json!({
        "ruleId": id(finding.kind),
        "ruleIndex": rule,
        "level": "warning",
        "message": { "text": text },
        "locations": [location],
        "relatedLocations": related,
        // Identifies the same conflict in later runs, whichever block shows it.
        "partialFingerprints": { "braidConflict/v1": fingerprint(&names) },
        "properties": { "pairs": pairs, "locations": locations, "example": conflict.example },
    })
}

fn physical(line: &SourceLine, folder: &Path) -> Value {
    json!({
        "artifactLocation": artifact(&line.file, folder),
        "region": { "startLine": line.line, "startColumn": line.column },
    })
}

/// Returns the file as a URI: relative to `folder` if it is inside, otherwise absolute.
fn artifact(file: &str, folder: &Path) -> Value {
    let path = plain(&folder.join(file));
    // The folder may have another path through a symbolic link.
    let real = path.canonicalize().ok().zip(folder.canonicalize().ok());
    let names = [Some((path.clone(), plain(folder))), real];
    for (path, folder) in names.iter().flatten() {
        if let Ok(inside) = path.strip_prefix(folder) {
            return json!({ "uri": encoded(inside), "uriBaseId": "%SRCROOT%" });
        }
    }
    let path = encoded(&path);
    let slash = if path.starts_with('/') { "" } else { "/" };
    json!({ "uri": format!("file://{slash}{path}") })
}

/// Removes `.` and `..` from a path.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// Percent-encodes all characters except those that RFC 3986 allows in a path.
fn encoded(path: &Path) -> String {
    let path = path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(letter).collect()
}

fn fingerprint(text: &str) -> String {
    hex::encode(&keccak256(text)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_relative_to_the_folder_and_percent_encoded() {
        let uri = |file: &str| artifact(file, Path::new("/src/my project"));
        let inside = |uri: &str| json!({ "uri": uri, "uriBaseId": "%SRCROOT%" });
        assert_eq!(uri("/src/my project/src/A b.sol"), inside("src/A%20b.sol"));
        assert_eq!(uri("./src/../A.sol"), inside("A.sol"));
        assert_eq!(uri("100%.sol"), inside("100%25.sol"));
        assert_eq!(uri("../lib/A b.sol"), json!({ "uri": "file:///src/lib/A%20b.sol" }));
    }
}
