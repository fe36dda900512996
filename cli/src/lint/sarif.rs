//! Findings in the Static Analysis Results Interchange Format, SARIF 2.1.0.

use super::finding::{Finding, Place, advice};
use crate::explain::Kind;
use alloy_primitives::{hex, keccak256};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The log of a run that found `findings`.
#[must_use]
pub fn sarif(findings: &[Finding]) -> Value {
    let kinds: Vec<Kind> =
        findings.iter().map(|it| it.kind).collect::<BTreeSet<_>>().into_iter().collect();
    let rules: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "id": id(*kind),
                "shortDescription": { "text": format!("Transactions conflict at a shared {kind}") },
                "help": { "text": advice(*kind) },
                "defaultConfiguration": { "level": "warning" },
            })
        })
        .collect();
    let index = |kind: Kind| kinds.iter().position(|it| *it == kind);
    let results: Vec<Value> =
        findings.iter().map(|finding| result(finding, index(finding.kind))).collect();
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

/// Name of the rule for places of this kind.
fn id(kind: Kind) -> String {
    format!("conflict/{}", kind.to_string().replace(' ', "-"))
}

fn result(finding: &Finding, rule: Option<usize>) -> Value {
    let Finding { contract, name, variable, functions: [one, other], pairs, .. } = finding;
    let contract = name.clone().unwrap_or_else(|| contract.to_string());
    let who = if one == other {
        format!("{one} conflicts with itself")
    } else {
        format!("{one} and {other} conflict")
    };
    let transactions = if *pairs == 1 { "one pair" } else { "pairs" };
    let text = format!(
        "{who} at {variable} of {contract}: {}{transactions} of transactions. {}",
        if *pairs == 1 { String::new() } else { format!("{pairs} ") },
        finding.advice
    );
    let logical: Vec<Value> = [one, other]
        .iter()
        .map(|function| {
            json!({ "fullyQualifiedName": format!("{contract}.{function}"), "kind": "function" })
        })
        .collect();
    let mut location = json!({ "logicalLocations": logical });
    if let Some(first) = finding.lines.first() {
        location["physicalLocation"] = physical(first);
    }
    let related: Vec<Value> = finding
        .lines
        .iter()
        .enumerate()
        .skip(1)
        .map(|(id, line)| {
            let does = if line.stores { "stores" } else { "loads" };
            let message = json!({ "text": format!("{does} {variable}") });
            json!({ "id": id, "physicalLocation": physical(line), "message": message })
        })
        .collect();
    json!({
        "ruleId": id(finding.kind),
        "ruleIndex": rule,
        "level": "warning",
        "message": { "text": text },
        "locations": [location],
        "relatedLocations": related,
        // The same conflict in the next run, whatever block shows it.
        "partialFingerprints": { "braidConflict/v1": fingerprint(&format!("{contract} {variable} {one} {other}")) },
        "properties": { "pairs": pairs, "places": finding.places, "example": finding.example },
    })
}

fn physical(line: &Place) -> Value {
    json!({
        "artifactLocation": { "uri": line.file, "uriBaseId": "%SRCROOT%" },
        "region": { "startLine": line.line, "startColumn": line.column },
    })
}

fn fingerprint(text: &str) -> String {
    hex::encode(&keccak256(text)[..16])
}
