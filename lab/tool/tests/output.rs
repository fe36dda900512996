//! Errors for wrong arguments and inputs: one line that says what to do next.

use crate::invoke::{lab, output};
use std::{fs, path::Path};

#[test]
fn an_error_is_one_line_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("nothing")).expect("it is made");
    // Neither a state test nor a block test.
    fs::write(folder.path().join("other.json"), "{\"a\": {}}").expect("it is written");
    for (arguments, advice) in [
        ("shards gone.json", "write a block file with braid gen or braid fetch"),
        ("statetest gone.json", "name a test file (.json), a folder of them or an archive"),
        ("blocktest nothing", "name a test file (.json), a folder of them or an archive"),
        ("statetest other.json", "braid-lab statetest or braid-lab blocktest"),
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let errors = String::from_utf8(output(folder.path(), &words).stderr).expect("text");
        assert!(errors.starts_with("error: "), "{arguments}: {errors:?}");
        assert_eq!(errors.lines().count(), 1, "{arguments}: {errors}");
        assert!(errors.contains(advice), "{arguments}: {errors}");
        assert!(!errors.contains('\u{1b}'), "{arguments}: {errors:?}");
    }
}

#[test]
fn wrong_options_are_refused() {
    let here = Path::new(".");
    for arguments in [&[][..], &["run"], &["-v", "sim"], &["statetest"]] {
        lab(here, arguments, 2);
    }
    for command in ["sim", "statetest", "blocktest", "t8n", "bench"] {
        let said = lab(here, &[command, "--workers", "65536"], 2);
        assert!(said.contains("from 1 to 65535"), "{command}: {said}");
    }
}
