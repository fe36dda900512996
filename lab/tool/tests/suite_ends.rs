//! The post-state of a block test: listed values are compared, and no others.

use crate::suite_formats::{Chain, chain};
use serde_json::{Value, json};
use std::{fs, process::Command};

/// Returns the exit code and output of `braid-lab blocktest` on a test with the post-state `post`.
fn ended(post: &Value) -> (Option<i32>, String) {
    let mut test = chain(&Chain::default());
    test["postState"] = post.clone();
    let tests = json!({ "two payments": test });
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
    // Both blocks pay one wei to it.
    let address = "0x00000000000000000000000000000000000000aa";
    let account = |field: &str, value: Value| {
        let mut account = json!({"balance": "0x2", "nonce": "0x0", "code": "0x", "storage": {}});
        account[field] = value;
        json!({address: account})
    };
    let missing = json!({"0x00000000000000000000000000000000000000dd": {"balance": "0x1"}});
    for (post, why) in [
        (json!({}), None),
        (account("nonce", json!("0x0")), None),
        (account("nonce", json!("0x2")), Some("the nonce of 0x000000")),
        (account("balance", json!("0x3")), Some("the balance of 0x000000")),
        (account("code", json!("0x01")), Some("the code of 0x000000")),
        (account("storage", json!({"0x05": "0x01"})), Some("the slot 0x5 of 0x000000")),
        (missing, Some("the balance of 0x0000000000")),
    ] {
        let (code, text) = ended(&post);
        assert_eq!(code, Some(i32::from(why.is_some())), "{text}");
        assert!(text.contains(why.unwrap_or_default()), "{text}");
    }
}
