//! Lists the interface of a library, with one line for each item that a user can name.

use serde_json::Value;

/// The list, and the items that break a rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// One line for each item, in the order of the documentation.
    pub(super) lines: Vec<String>,
    /// Functions that take a tuple: its parts have no names.
    pub(super) tuples: Vec<String>,
}

/// Lists the items of rustdoc's `json`, starting at the root; fails if there are fewer than
/// `fewest`.
pub(super) fn list(json: &Value, fewest: usize) -> Result<Listed, String> {
    let root = json["root"].as_u64().ok_or("rustdoc's JSON has no root: its format has changed")?;
    let mut listed = Listed::default();
    Index(json).module(root, "", &mut listed);
    if listed.lines.len() < fewest {
        return Err(format!("only {} items: rustdoc's format has changed", listed.lines.len()));
    }
    listed.lines.sort();
    Ok(listed)
}

/// Items by id.
struct Index<'a>(&'a Value);

impl<'a> Index<'a> {
    fn item(&self, id: &Value) -> Option<(&'a Value, &'a str, &'a Value)> {
        let item = self.0["index"].get(id.as_u64()?.to_string())?;
        let (kind, inner) = item["inner"].as_object()?.iter().next()?;
        // A re-export counts where it is, and not where the item is defined.
        let is_shown = kind == "use" || !item["attrs"].to_string().contains("hidden");
        is_shown.then_some((item, kind, inner))
    }

    fn module(&self, id: u64, path: &str, out: &mut Listed) {
        let Some((_, _, module)) = self.item(&Value::from(id)) else { return };
        for id in module["items"].as_array().into_iter().flatten() {
            let Some((item, kind, inner)) = self.item(id) else { continue };
            let (id, name) = match kind {
                "use" => (&inner["id"], &inner["name"]),
                _ => (id, &item["name"]),
            };
            let path = format!("{path}{}", name.as_str().unwrap_or_default());
            match kind {
                "module" => {
                    out.lines.push(format!("{path}: module"));
                    self.module(id.as_u64().unwrap_or_default(), &format!("{path}::"), out);
                }
                _ => self.emit(id, &path, out),
            }
        }
    }

    fn emit(&self, id: &Value, path: &str, out: &mut Listed) {
        let Some((item, kind, inner)) = self.item(id) else {
            out.lines.push(format!("{path}: of another crate"));
            return;
        };
        let open = item["attrs"].to_string().contains("non_exhaustive");
        out.lines.push(format!("{path}: {kind}{}", if open { ", may grow" } else { "" }));
        if kind == "function" {
            note_tuples(inner, path, out);
        }
        let parts =
            [&inner["kind"]["plain"]["fields"], &inner["kind"]["tuple"], &inner["variants"]];
        // Items of a trait. The items of a module are handled elsewhere.
        let parts = parts.into_iter().chain([&inner["items"]]);
        let parts = parts.filter_map(Value::as_array).flatten();
        let imps = inner["impls"].as_array().into_iter().flatten();
        let own = imps.filter_map(|id| Some(self.item(id)?.2)).filter(|imp| imp["trait"].is_null());
        let methods = own.filter_map(|imp| imp["items"].as_array()).flatten();
        for (item, kind, inner) in parts.chain(methods).filter_map(|id| self.item(id)) {
            let path = format!("{path}::{}", item["name"].as_str().unwrap_or_default());
            if kind == "function" {
                note_tuples(inner, &path, out);
            }
            out.lines.push(format!("{path}: {}", kind.trim_start_matches("struct_")));
        }
    }
}

fn note_tuples(function: &Value, path: &str, out: &mut Listed) {
    let inputs = function["sig"]["inputs"].as_array().into_iter().flatten();
    let mut tuples = inputs.filter_map(|input| input[1]["tuple"].as_array());
    if tuples.any(|parts| !parts.is_empty()) {
        out.tuples.push(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Returns a crate with a structure, its field, a method with these inputs, and a re-export.
    fn interface(inputs: &Value) -> Value {
        json!({"root": 1, "index": {
            "1": {"name": "own", "inner": {"module": {"items": [2, 5]}}},
            "2": {"name": "Own", "attrs": ["#[non_exhaustive]"], "inner": {"struct": {
                "kind": {"plain": {"fields": [3, 7]}}, "impls": [4]}}},
            "3": {"name": "size", "attrs": [], "inner": {"struct_field": {}}},
            "7": {"name": "own", "attrs": [{"other": "#[doc(hidden)]"}], "inner": {"struct_field": {}}},
            "4": {"name": null, "inner": {"impl": {"trait": null, "items": [6]}}},
            "5": {"name": null, "inner": {"use": {"id": 99, "name": "Other"}}},
            "6": {"name": "make", "inner": {"function": {"sig": {"inputs": inputs}}}},
        }})
    }

    #[test]
    fn items_are_listed_and_tuples_are_found() {
        let mut listed = Listed::default();
        Index(&interface(&json!([["one", {"tuple": [{}, {}]}]]))).module(1, "", &mut listed);
        let lines = [
            "Own: struct, may grow",
            "Own::size: field",
            "Own::make: function",
            "Other: of another crate",
        ];
        assert_eq!(listed.lines, lines);
        assert_eq!(listed.tuples, ["Own::make"]);
        let mut listed = Listed::default();
        Index(&interface(&json!([["one", {"tuple": []}]]))).module(1, "", &mut listed);
        assert!(listed.tuples.is_empty());
        assert!(list(&interface(&json!([])), 5).is_err(), "so few items are no interface");
    }
}
