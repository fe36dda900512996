//! Functions of an ABI.

use alloy_primitives::keccak256;
use serde::Deserialize;

/// An entry of an ABI.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    inputs: Vec<Parameter>,
}

#[derive(Debug, Deserialize)]
struct Parameter {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    components: Vec<Self>,
}

impl Parameter {
    /// Returns its type as in signatures, where a structure is a tuple of its members' types.
    fn canonical(&self) -> String {
        match self.kind.strip_prefix("tuple") {
            Some(array) => format!("({}){array}", joined(&self.components)),
            None => self.kind.clone(),
        }
    }
}

fn joined(parameters: &[Parameter]) -> String {
    parameters.iter().map(Parameter::canonical).collect::<Vec<_>>().join(",")
}

/// Returns selector and signature of a function; `None` for any other entry.
pub(super) fn function(entry: &Entry) -> Option<([u8; 4], String)> {
    let signature = format!("{}({})", entry.name, joined(&entry.inputs));
    let [a, b, c, d, ..] = keccak256(&signature).0;
    (entry.kind == "function").then_some(([a, b, c, d], signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_lists_of_types() {
        let entry: Entry = serde_json::from_str(
            r#"{"type":"function","name":"f","inputs":[{"type":"tuple[]","components":[{"type":"uint256"},
            {"type":"tuple","components":[{"type":"bool"}]}]},{"type":"address"}]}"#,
        )
        .unwrap();
        let (selector, signature) = function(&entry).unwrap();
        assert_eq!(signature, "f((uint256,(bool))[],address)");
        assert_eq!(selector, keccak256(signature).0[..4]);
        let event = serde_json::from_str(r#"{"type":"event","name":"e","inputs":[]}"#).unwrap();
        assert_eq!(function(&event), None);
    }
}
