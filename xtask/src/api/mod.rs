//! Checks the public interfaces of the published libraries: the list of items, the crates whose
//! types appear in it, and the changes since the last release.
//!
//! The lists are committed, so a change of an interface shows up in review.
//!
//! A type of another crate in an interface ties our versions to that crate's. The permitted crates
//! are therefore named here, and any other crate fails the recipe. Like cargo-public-api, the
//! recipe reads rustdoc's JSON, but it needs no nightly toolchain.

mod interfaces;
mod list;

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, output, target_dir};
use interfaces::{ALL, Interface};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

/// Script that cargo runs in place of rustdoc.
const RUSTDOC: &str = "xtask/src/api/rustdoc.sh";

/// Checks the lists and the crates of all public types, and compares with the last release if there
/// is one. With `write`, writes the lists instead of comparing them.
pub(crate) fn api(runner: &mut Runner, write: bool) -> Result<(), Failed> {
    ALL.iter().try_for_each(|interface| one(runner, interface, write))?;
    since_last_release(runner)
}

fn one(runner: &mut Runner, interface: &Interface, write: bool) -> Result<(), Failed> {
    let Interface { package, features, .. } = interface;
    let mut rustdoc = cargo(&format!("rustdoc --locked -p {package} --lib"));
    if !features.is_empty() {
        rustdoc.arg("--features").arg(features);
    }
    rustdoc.args(["--", "-Z", "unstable-options", "--output-format", "json"]);
    // Items of a hidden module that are re-exported elsewhere would otherwise be missing.
    rustdoc.arg("--document-hidden-items");
    rustdoc.env("RUSTDOC", runner.root().join(RUSTDOC));
    runner.command(&format!("interface of {package}: read"), rustdoc)?;
    let json = format!("doc/{}.json", package.replace('-', "_"));
    let json = target_dir(runner.root()).join(json);
    // rustdoc's JSON format is unstable, so the recipe reads little of it.
    let read = || -> Result<Value, String> {
        let text = fs::read_to_string(&json).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    runner.check(&format!("interface of {package}: crates"), |_| {
        judge(&crates(&read()?, interface.tool)?, interface.public)
    })?;
    runner.check(&format!("interface of {package}: list"), |root| {
        let listed = list::list(&read()?, interface.fewest)?;
        if !listed.tuples.is_empty() {
            return Err(format!(
                "these take a tuple, name its parts: {}",
                listed.tuples.join(", ")
            ));
        }
        let (path, text) = (root.join(interface.list), listed.lines.join("\n") + "\n");
        if write {
            fs::write(&path, &text).map_err(|error| error.to_string())?;
        }
        let file = fs::read_to_string(&path).unwrap_or_default();
        compare(&file, &text).map_err(|why| format!("{}: {why}", interface.list))?;
        Ok(format!("{} items", listed.lines.len()))
    })
}

/// Compares the committed list with the interface, and returns the differences as the error.
fn compare(file: &str, found: &str) -> Result<(), String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (file, found) = (lines(file), lines(found));
    let new = found.difference(&file).map(|line| format!("+ {line}"));
    let gone = file.difference(&found).map(|line| format!("- {line}"));
    let changes: Vec<String> = new.chain(gone).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let changes = changes.join("\n");
    Err(format!("another interface; cargo xtask api --write writes it:\n{changes}"))
}

/// Compares the interface with the last release, if cargo-semver-checks is installed.
fn since_last_release(runner: &mut Runner) -> Result<(), Failed> {
    let mut last = Command::new("git");
    last.args(["tag", "--merged", "HEAD", "--sort=-creatordate"]).current_dir(runner.root());
    let tags = output(last).unwrap_or_default();
    let Some(tag) = tags.lines().next() else {
        runner.skip("interface: changes", "nothing has been released to compare with");
        return Ok(());
    };
    if !is_there("cargo", &["semver-checks", "--version"]) {
        let why =
            "cargo-semver-checks is not installed (cargo install --locked cargo-semver-checks)";
        runner.skip("interface: changes", why);
        return Ok(());
    }
    let mut check = cargo("semver-checks");
    check.args(ALL.iter().flat_map(|interface| ["-p", interface.package]));
    check.args(["--baseline-rev", tag]);
    runner.command("interface: changes", check)
}

/// Returns the crates whose types the interface shows, each with the path of one such type. Items
/// from files in the `tool` folders are ignored.
fn crates(json: &Value, tool: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let part = |name: &str| {
        let part = json[name].as_object();
        part.ok_or_else(|| format!("rustdoc's JSON has no {name}: its format has changed"))
    };
    let (index, paths, names) = (part("index")?, part("paths")?, part("external_crates")?);
    let mut ids = BTreeSet::new();
    let is_shown = |item: &&Value| {
        let file = item["span"]["filename"].as_str().unwrap_or_default();
        let is_of_tool = tool.iter().any(|folder| file.contains(&format!("/src/{folder}/")));
        item["crate_id"] == 0 && is_ours(&item["inner"]) && !is_of_tool
    };
    for item in index.values().filter(is_shown) {
        references(&item["inner"], &mut ids);
    }
    let mut found = BTreeMap::new();
    for id in ids {
        // An item without a path is private in a dependency, so no user can name it.
        let Some(path) = paths.get(&id.to_string()) else { continue };
        let number = path["crate_id"].as_u64().filter(|number| *number > 0);
        let Some(name) = number.and_then(|number| names[&number.to_string()]["name"].as_str())
        else {
            continue;
        };
        let segments = path["path"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let shown = segments.collect::<Vec<_>>().join("::");
        found.entry(name.to_owned()).or_insert(shown);
    }
    Ok(found)
}

/// Returns false for blanket and auto-trait implementations.
fn is_ours(inner: &Value) -> bool {
    let imp = &inner["impl"];
    imp.is_null() || (imp["blanket_impl"].is_null() && imp["is_synthetic"] != true)
}

/// Collects the items that `value` refers to: objects with an id and a path or a source.
fn references(value: &Value, ids: &mut BTreeSet<u64>) {
    match value {
        Value::Object(object) => {
            if let Some(id) = object.get("id").and_then(Value::as_u64)
                && (object.contains_key("path") || object.contains_key("source"))
            {
                ids.insert(id);
            }
            object.values().for_each(|value| references(value, ids));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, ids)),
        _ => {}
    }
}

fn judge(found: &BTreeMap<String, String>, public: &[&str]) -> Result<String, String> {
    let listed = |name: &&str| public.contains(name);
    let new: Vec<String> = found
        .iter()
        .filter(|(name, _)| !listed(&name.as_str()))
        .map(|(name, path)| format!("{name} ({path})"))
        .collect();
    if !new.is_empty() {
        return Err(format!(
            "not listed as public in xtask/src/api/interfaces.rs: {}",
            new.join(", ")
        ));
    }
    let is_gone = |name: &&str| !found.contains_key(*name);
    let gone: Vec<&str> = public.iter().copied().filter(is_gone).collect();
    if !gone.is_empty() {
        return Err(format!("listed and not public any more: {}", gone.join(", ")));
    }
    Ok(found.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Returns an interface that shows the type of another crate in `inner`.
    fn interface(inner: &Value) -> Value {
        json!({
            "index": {
                "1": {"crate_id": 0, "inner": inner},
                "2": {"crate_id": 5, "inner": {"struct_field": {"resolved_path": {"path": "B", "id": 8}}}},
            },
            "paths": {
                "7": {"crate_id": 5, "path": ["newcomer", "Type"]},
                "8": {"crate_id": 6, "path": ["unseen", "Type"]},
                "9": {"crate_id": 0, "path": ["braid_evm", "Own"]},
            },
            "external_crates": {"5": {"name": "newcomer"}, "6": {"name": "unseen"}},
        })
    }

    #[test]
    fn a_new_crate_is_noticed_wherever_it_shows() {
        let path = json!({"path": "Type", "id": 7});
        for inner in [
            json!({"struct_field": {"resolved_path": path}}),
            json!({"function": {"sig": {"inputs": [["one", {"borrowed_ref": {"type": {"resolved_path": path}}}]]}}}),
            json!({"function": {"generics": {"params": [{"bounds": [{"trait_bound": {"trait": path}}]}]}}}),
            json!({"impl": {"trait": path, "blanket_impl": null, "is_synthetic": false}}),
            json!({"use": {"source": "newcomer::Type", "name": "Type", "id": 7}}),
        ] {
            let found = crates(&interface(&inner), &[]).expect("it can be read");
            assert_eq!(found.keys().collect::<Vec<_>>(), ["newcomer"], "{inner}");
            let why = judge(&found, &["revm_state"]).expect_err("it is not listed");
            assert!(why.contains("newcomer::Type"), "{why}");
        }
    }

    #[test]
    fn a_tool_beside_the_library_shows_what_it_likes() {
        let mut json =
            interface(&json!({"struct_field": {"resolved_path": {"path": "Type", "id": 7}}}));
        json["index"]["1"]["span"] = json!({"filename": "crates/node/src/top/draw.rs"});
        assert!(crates(&json, &["top"]).expect("it can be read").is_empty());
        assert_eq!(crates(&json, &["metrics"]).expect("it can be read").len(), 1);
    }

    #[test]
    fn what_others_implement_for_all_types_is_not_ours() {
        let path = json!({"path": "Trait", "id": 7});
        for inner in [
            json!({"impl": {"trait": path, "blanket_impl": {"generic": "T"}}}),
            json!({"impl": {"trait": path, "blanket_impl": null, "is_synthetic": true}}),
            json!({"struct_field": {"resolved_path": {"path": "Own", "id": 9}}}),
        ] {
            assert!(crates(&interface(&inner), &[]).expect("it can be read").is_empty(), "{inner}");
        }
    }

    #[test]
    fn a_change_of_the_list_is_told() {
        assert_eq!(compare("A: struct\n", "A: struct\n"), Ok(()));
        let why = compare("A: struct\nB: enum\n", "A: struct\nC: enum\n").expect_err("it changed");
        assert!(why.contains("+ C: enum\n- B: enum"), "{why}");
    }

    #[test]
    fn a_format_that_changed_and_a_listed_crate_that_is_gone_are_noticed() {
        assert!(crates(&json!({"index": {}}), &[]).is_err());
        let why = judge(&BTreeMap::new(), &["revm_state"]).expect_err("nothing is left");
        assert!(why.contains("revm"), "{why}");
    }
}
