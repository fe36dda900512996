//! The post-state of a block test: listed values are compared, and no others.

use crate::support::vectors;
use serde_json::{Value, json};
use std::{fs, process::Command};

/// Returns the exit code and output of `braid-lab blocktest` on a test of one block with the
/// post-state `post`.
fn ended(test: &Value, post: Value) -> (Option<i32>, String) {
    let mut tests = test.clone();
    for (_, test) in tests.as_object_mut().expect("tests") {
        test["postState"] = post.clone();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("test.json");
    fs::write(&file, tests.to_string()).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid-lab"));
    let output = command.arg("blocktest").arg(&file).output().expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

#[test]
fn only_what_is_listed_is_compared() {
    let Some(file) = vectors("amsterdam_reverted_read_after_recreate.json") else { return };
    let test: Value = serde_json::from_slice(&fs::read(file).expect("reads")).expect("JSON");
    // Its code is a zero byte, and no block changes it.
    let address = "0x000064d678505ad48f8ccb093bc65613800e8282";
    let account = |field: &str, value: Value| {
        let mut account = json!({"balance": "0x0", "nonce": "0x1", "code": "0x00", "storage": {}});
        account[field] = value;
        json!({address: account})
    };
    let missing = json!({"0x00000000000000000000000000000000000000dd": {"balance": "0x1"}});
    for (post, why) in [
        (json!({}), None),
        (account("nonce", json!("0x1")), None),
        (account("nonce", json!("0x2")), Some("the nonce of 0x000064")),
        (account("balance", json!("0x2")), Some("the balance of 0x000064")),
        (account("code", json!("0x01")), Some("the code of 0x000064")),
        (account("storage", json!({"0x05": "0x01"})), Some("the slot 0x5 of 0x000064")),
        (missing, Some("the balance of 0x0000000000")),
    ] {
        let (code, text) = ended(&test, post);
        assert_eq!(code, Some(i32::from(why.is_some())), "{text}");
        assert!(text.contains(why.unwrap_or_default()), "{text}");
    }
}
