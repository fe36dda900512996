//! Output for users: an error is one line with advice.

use crate::chain::braid_node;
use std::fs;

/// Each command's message for a common mistake is one line with advice, and nothing else is on
/// standard error.
#[test]
fn an_error_is_one_line_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("genesis.json"), "{\"config\": 3}").expect("it is written");
    for (arguments, advice) in [
        ("init --genesis gone.json chain", "braid-node demo writes a genesis"),
        ("init --genesis genesis.json chain", "no genesis in geth's format"),
        ("run nowhere good.json", "braid-node init"),
        ("verify nowhere", "braid-node init"),
        ("top nowhere", "expected a port, or an address such as 127.0.0.1:9184"),
        ("top 127.0.0.1:1", "braid-node run --metrics"),
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let mut command = braid_node(&words);
        // Colours are not requested, and there is no terminal.
        command.current_dir(&folder).env_remove("CLICOLOR_FORCE").env_remove("FORCE_COLOR");
        let errors = command.output().expect("the tool starts").stderr;
        let errors = String::from_utf8(errors).expect("text");
        assert!(errors.starts_with("error: "), "{arguments}: {errors:?}");
        assert_eq!(errors.lines().count(), 1, "{arguments}: {errors}");
        assert!(errors.contains(advice), "{arguments}: {errors}");
        assert!(!errors.contains('\u{1b}'), "{arguments}: {errors:?}");
    }
}

#[test]
fn wrong_options_are_refused() {
    for arguments in [&[][..], &["walk"], &["run"], &["run", "--workers", "0", "chain", "-"]] {
        let output = braid_node(arguments).output().expect("the tool starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
