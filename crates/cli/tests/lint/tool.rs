//! Output and files of the tool.

use super::compiled;
use crate::invoke::tool as run;
use braid_blocks::workload::{Workload, WorkloadSpec, generate};
use braid_cli::explain::Kind;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Returns a folder with a block of mints of each kind, and the compiler's output for them.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, name) in
        [(Workload::MintSerial, "serial.json"), (Workload::MintParallel, "parallel.json")]
    {
        let file = generate(&WorkloadSpec::new(kind, 8, 0, 1)).expect("a block");
        file.write(&folder.path().join(name)).expect("writes");
    }
    fs::copy(compiled(), folder.path().join("out.txt")).expect("copies");
    fs::create_dir(folder.path().join("src")).expect("a folder");
    let source = compiled().with_file_name("../src/Mint.sol");
    fs::copy(source, folder.path().join("src/Mint.sol")).expect("copies");
    folder
}

const NAMES: [&str; 6] = ["--layout", "out.txt", "--abi", "out.txt", "--source-map", "out.txt"];

#[test]
fn exit_codes_are_for_ci_and_wrong_files_are_refused() {
    let folder = folder();
    let lint =
        |arguments: &[&str], code| run(folder.path(), &[&["lint"], arguments].concat(), code);
    let help = lint(&["--help"], 0);
    for word in
        ["Examples:", "--layout", "--abi", "--source-map", "--sarif", "--fail-on", "LINT.md"]
    {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    lint(&["serial.json"], 0);
    lint(&["--fail-on", "conflict", "serial.json"], 1);
    let free = lint(&["--fail-on", "conflict", "parallel.json"], 0);
    assert!(free.contains("No transactions of different senders conflict"), "{free}");
    lint(&["missing.json"], 2);
    lint(&["--fail-on", "conflict", "missing.json", "serial.json"], 1);
    for wrong in [
        &["--layout", "missing.txt"][..],
        &["--layout", "0x12=out.txt"],
        &["--layout", "0x0101010101010101010101010101010101010101=out.txt"],
        &["--source-map", "src/Mint.sol"],
        &["--fail-on", "luck"],
        &["--json", "--sarif", "-"],
    ] {
        lint(&[wrong, &["serial.json"]].concat(), 2);
    }
    let layout: Value = serde_json::from_str(&fs::read_to_string(compiled()).unwrap()).unwrap();
    let layout = &layout["contracts"]["src/Mint.sol"]["SerialMint"]["storageLayout"];
    fs::write(folder.path().join("layout.txt"), layout.to_string()).expect("writes");
    let refused = lint(&["--layout", "layout.txt", "serial.json"], 2);
    assert!(refused.contains("--layout ADDRESS=layout.txt"), "{refused}");
    let found: Value =
        serde_json::from_str(lint(&["--json", "serial.json"], 0).lines().next().unwrap()).unwrap();
    let contract = found["contract"].as_str().expect("an address");
    let named = lint(&["--layout", &format!("{contract}=layout.txt"), "serial.json"], 0);
    assert!(named.contains("nextId") && named.contains("lastMinter"), "{named}");
    let other = ["--contract", "0x0101010101010101010101010101010101010101", "serial.json"];
    let untouched = lint(&other, 2);
    assert_eq!(
        untouched,
        "No transactions of different senders conflict at the contracts of --contract (8 transactions in 1 block).\n\
         error: no transaction accesses 0x0101010101010101010101010101010101010101; check --contract\n"
    );
    lint(&["--fail-on", "conflict", "--contract", contract, "serial.json"], 1);
    // `explain` accepts the same names.
    let words =
        run(folder.path(), &[&["explain", "--rounds", "0", "serial.json"], &NAMES[..]].concat(), 0);
    // Undo the line breaks for a terminal.
    let flat = words.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("lastMinter of SerialMint 0x") && flat.contains("calls of mint()"),
        "{words}"
    );
    assert!(flat.contains("src/Mint.sol:29:9 stores") && flat.contains("src/Mint.sol:27:14 loads"));
    assert!(flat.contains(Kind::TotalSupply.advice()), "{words}");
    let data = run(
        folder.path(),
        &[&["report", "--rounds", "0", "--json", "serial.json"], &NAMES[..]].concat(),
        0,
    );
    let data: Value = serde_json::from_str(&data).expect("JSON");
    let first = &data["conflicts"][0];
    assert_eq!(first["advice"], Kind::TotalSupply.advice());
    let line = json!({ "file": "src/Mint.sol", "line": 28, "column": 9, "stores": true });
    assert_eq!(first["lines"][0], line);
}

#[test]
fn json_and_words_name_functions_variables_and_lines() {
    let folder = folder();
    let json = run(folder.path(), &[&["lint", "--json", "."], &NAMES[..]].concat(), 0);
    let mut lines: Vec<Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let total = lines.pop().expect("sums");
    assert_eq!(
        total,
        json!({ "total": true, "blocks": 2, "txs": 16, "findings": 2, "conflicts": 2, "unusable": 0 })
    );
    let place = |line: u32, column: u32, stores: bool| json!({ "file": "src/Mint.sol", "line": line, "column": column, "stores": stores });
    let source = fs::read_to_string(folder.path().join("src/Mint.sol")).expect("the source");
    let first = source.lines().position(|line| line.contains("id = nextId;")).expect("a line");
    let at = u32::try_from(first).expect("short") + 1;
    for (finding, variable, sites) in [
        (&lines[0], "nextId", [place(at + 1, 9, true), place(at, 14, false)]),
        (&lines[1], "lastMinter", [place(at + 2, 9, true), place(at + 2, 9, false)]),
    ] {
        assert_eq!(finding["name"], "SerialMint");
        let [conflict] = &finding["conflicts"].as_array().expect("conflicts")[..] else {
            panic!("one variable: {finding}");
        };
        assert_eq!(conflict["variable"], variable);
        assert_eq!(
            conflict["functions"][0],
            json!({ "selector": "0x1249c58b", "signature": "mint()" })
        );
        assert_eq!(conflict["functions"][0], conflict["functions"][1]);
        assert_eq!(
            (&conflict["pairs"], &conflict["locations"], &conflict["blocks"]),
            (&json!(28), &json!(1), &json!(1))
        );
        assert_eq!(conflict["lines"], json!(sites), "{conflict}");
        assert_eq!(conflict["example"]["transactions"], json!([0, 1]));
    }
}

/// Asserts that an object of the SARIF schema has its required fields, and no unknown ones among
/// those we write.
#[track_caller]
fn object(value: &Value, required: &[&str], optional: &[&str]) {
    let object = value.as_object().expect("an object");
    for key in required {
        assert!(object.contains_key(*key), "{key} is required: {value}");
    }
    for key in object.keys() {
        let is_known = required.contains(&key.as_str()) || optional.contains(&key.as_str());
        assert!(is_known, "{key} is no property: {value}");
    }
}

fn location(value: &Value) {
    object(value, &[], &["id", "message", "physicalLocation", "logicalLocations"]);
    for logical in value["logicalLocations"].as_array().into_iter().flatten() {
        object(logical, &[], &["fullyQualifiedName", "kind"]);
    }
    if let Some(physical) = value.get("physicalLocation") {
        object(physical, &["artifactLocation"], &["region"]);
        object(&physical["artifactLocation"], &["uri"], &["uriBaseId"]);
        assert!(!physical["artifactLocation"]["uri"].as_str().unwrap().starts_with(['/', '.']));
        object(&physical["region"], &["startLine"], &["startColumn"]);
        assert!(physical["region"]["startLine"].as_u64() > Some(0));
    }
}

#[test]
fn sarif_has_what_the_schema_requires_and_nothing_that_it_does_not_know() {
    let folder = folder();
    let arguments = ["lint", "--sarif", "-", "--fail-on", "conflict", "serial.json"];
    for names in [&NAMES[..], &[]] {
        let log: Value =
            serde_json::from_str(&run(folder.path(), &[&arguments, names].concat(), 1)).unwrap();
        object(&log, &["version", "runs"], &["$schema"]);
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        object(run, &["tool"], &["results", "columnKind"]);
        object(&run["tool"], &["driver"], &[]);
        let driver = &run["tool"]["driver"];
        object(driver, &["name"], &["version", "informationUri", "rules"]);
        let rules = driver["rules"].as_array().expect("rules");
        for rule in rules {
            object(rule, &["id"], &["shortDescription", "help", "defaultConfiguration"]);
            object(&rule["help"], &["text"], &[]);
        }
        let results = run["results"].as_array().expect("results");
        assert_eq!(results.len(), 2);
        let mut prints = Vec::new();
        for result in results {
            let optional = [
                "ruleId",
                "ruleIndex",
                "level",
                "locations",
                "relatedLocations",
                "partialFingerprints",
                "properties",
            ];
            object(result, &["message"], &optional);
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(result["ruleId"], rules[index]["id"]);
            assert_eq!(result["level"], "warning");
            result["locations"].as_array().unwrap().iter().for_each(location);
            result["relatedLocations"].as_array().unwrap().iter().for_each(location);
            let physical = &result["locations"][0]["physicalLocation"];
            let uri = if names.is_empty() { "serial.json" } else { "src/Mint.sol" };
            assert_eq!(physical["artifactLocation"]["uri"], uri);
            assert!(physical["region"]["startLine"].as_u64() >= Some(1), "{result}");
            prints.push(result["partialFingerprints"]["braidConflict/v1"].clone());
        }
        assert_ne!(prints[0], prints[1]);
    }
    run(folder.path(), &["lint", "--sarif", "x.sarif", "parallel.json"], 0);
    let log: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("x.sarif")).unwrap()).unwrap();
    assert_eq!(log["runs"][0]["results"], json!([]), "a run that finds nothing says so");
}

#[test]
fn a_file_that_names_nothing_is_told_and_a_block_with_other_gas_too() {
    let folder = folder();
    let lint =
        |arguments: &[&str], code| run(folder.path(), &[&["lint"], arguments].concat(), code);
    let quiet = lint(&[&NAMES[..], &["serial.json"]].concat(), 0);
    assert!(!quiet.contains("warning"), "{quiet}");
    // Code of another contract, an ABI of a contract that no transaction calls, and no folder of
    // sources.
    let text = fs::read_to_string(folder.path().join("out.txt")).expect("reads");
    let mut other: Value = serde_json::from_str(&text).expect("JSON");
    let contracts = other["contracts"]["src/Mint.sol"].as_object_mut().expect("contracts");
    for contract in contracts.values_mut() {
        contract["evm"]["deployedBytecode"]["object"] = json!("6000");
        contract["abi"] = json!([{ "type": "function", "name": "f", "inputs": [], "outputs": [] }]);
    }
    fs::write(folder.path().join("other.txt"), other.to_string()).expect("writes");
    let names = NAMES.map(|it| if it == "out.txt" { "other.txt" } else { it });
    let told = lint(&[&names[..], &["--root", "nowhere", "serial.json"]].concat(), 0);
    for option in ["--layout other.txt", "--abi other.txt", "--source-map other.txt"] {
        assert!(told.contains(&format!("warning: {option} matches no contract")), "{told}");
    }
    assert!(told.contains("warning: --root nowhere is not a folder"), "{told}");
    let events = json!([{ "type": "event", "name": "e", "inputs": [] }]);
    let layout = &other["contracts"]["src/Mint.sol"]["SerialMint"]["storageLayout"];
    let without = json!({ "abi": events, "storageLayout": layout });
    fs::write(folder.path().join("without.txt"), without.to_string()).expect("writes");
    let refused = lint(&["--abi", "without.txt", "serial.json"], 2);
    assert!(refused.contains("without.txt: found no functions"), "{refused}");
    // A folder without blocks gives an error and no other output.
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    let empty = lint(&["empty", "--sarif", "empty.sarif"], 2);
    assert_eq!(empty.lines().count(), 1, "{empty}");
    assert!(empty.starts_with("error:") && !folder.path().join("empty.sarif").exists());
    // The findings are not of the block that the file describes.
    let mut file = generate(&WorkloadSpec::new(Workload::MintSerial, 8, 0, 1)).expect("a block");
    file.expected.gas_used = Some(1);
    file.write(&folder.path().join("wrong.json")).expect("writes");
    let wrong = lint(&["wrong.json"], 1);
    assert!(
        wrong.contains("wrong.json: unexpected result: block file: gasUsed: expected 1, found"),
        "{wrong}"
    );
    let wrong = lint(&["--json", "wrong.json"], 1);
    let line: Value = serde_json::from_str(wrong.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&line["ok"], &line["file"]), (&json!(false), &json!("wrong.json")));
}

#[test]
fn sources_below_the_folder_have_relative_uris() {
    let folder = folder();
    let root = folder.path().join("my sources");
    fs::create_dir(&root).expect("a folder");
    fs::rename(folder.path().join("src"), root.join("src")).expect("moves");
    let root = fs::canonicalize(&root).expect("the folder");
    let expected = json!({ "uri": "my%20sources/src/Mint.sol", "uriBaseId": "%SRCROOT%" });
    let check = |root: &Path| {
        let root = ["--root", root.to_str().expect("text"), "serial.json", "--sarif", "-"];
        let log = run(folder.path(), &[&["lint"], &NAMES[..], &root].concat(), 0);
        let log: Value = serde_json::from_str(&log).expect("JSON");
        let place = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"], expected);
    };
    check(&root);
    #[cfg(unix)]
    {
        let other = tempfile::tempdir().expect("a folder");
        let link = other.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).expect("a link");
        check(&link.join("my sources"));
    }
}
