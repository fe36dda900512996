//! Valid JSON with fields that the input replaces or removes.

use arbitrary::Unstructured;
use braid_testkit::hostile::files::{pointers, remove};
use serde_json::Value;

/// Maximum number of changed fields.
const MOST_SPOILT: usize = 4;

/// Valid JSON, with pointers to all its values.
pub(super) struct Good {
    json: Value,
    pointers: Vec<String>,
}

impl Good {
    pub(super) fn new(json: Value) -> Self {
        Self { pointers: pointers(&json), json }
    }

    /// Returns the JSON in which `bytes` select fields to remove, or to replace by one of `edges`.
    /// Without bytes it stays as it is.
    pub(super) fn spoilt(&self, edges: &[Value], bytes: &mut Unstructured<'_>) -> Value {
        let mut json = self.json.clone();
        for _ in 0..MOST_SPOILT {
            if bytes.is_empty() {
                break;
            }
            let (Ok(at), Ok(how)) = (bytes.choose(&self.pointers), bytes.int_in_range(0..=9_u8))
            else {
                break;
            };
            if how == 0 {
                remove(&mut json, at);
            } else if let (Some(field), Ok(edge)) = (json.pointer_mut(at), bytes.choose(edges)) {
                *field = edge.clone();
            }
        }
        json
    }
}
