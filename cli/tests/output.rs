//! What people see: tables fit 100 columns, there is no colour where there is no terminal, and an error is one line
//! with what to do.

use std::{path::Path, process::Command};

/// Columns of a table.
const WIDEST: usize = 100;

/// Standard output and error stream of a command.
fn braid(folder: &Path, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    // Nothing asks for colours, and no terminal is there.
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("CLICOLOR_FORCE")
        .env_remove("FORCE_COLOR");
    let output = command.output().expect("the tool starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

/// The rows of a table: the lines that begin with one of `names`, and the one above the first of them.
fn rows<'t>(text: &'t str, names: &[&str]) -> Vec<&'t str> {
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |line: &str| names.iter().any(|name| line.starts_with(name));
    let first = lines.iter().position(|line| is_row(line)).unwrap_or_else(|| panic!("{text}"));
    let head = lines[..first].iter().next_back();
    head.into_iter().chain(lines.iter().filter(|line| is_row(line))).copied().collect()
}

#[test]
fn tables_fit_and_are_plain() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, hot) in [("quiet.json", "0"), ("hot.json", "60")] {
        let made = ["gen", "--workload", "dex", "--txs", "60", "--hot", hot, "--out", name];
        let (_, errors) = braid(folder.path(), &made);
        assert_eq!(errors, "");
    }
    let both = ["quiet.json", "hot.json"];
    let names = ["quiet", "hot", "total"];
    for (arguments, names) in [
        (&["run"][..], &names[..]),
        (&["explain", "--rounds", "0"], &names[..2]),
        (&["bench", "--brief", "--rounds", "1", "--pause", "0"], &names[..2]),
    ] {
        let (text, _) = braid(folder.path(), &[arguments, &both[..]].concat());
        assert!(!text.contains('\u{1b}'), "{arguments:?}: a colour in {text:?}");
        let table = rows(&text, names);
        assert!(table.len() >= 3, "{arguments:?}: {text}");
        let wide = table.iter().find(|line| line.len() > WIDEST);
        assert_eq!(wide, None, "{arguments:?}: more than {WIDEST} columns");
    }
}

#[test]
fn all_of_a_survey_fits() {
    let folder = tempfile::tempdir().expect("a folder");
    for workload in ["erc20", "dex", "range", "mint-serial"] {
        let name = format!("{workload}.json");
        let made =
            ["gen", "--workload", workload, "--txs", "60", "--hot", "60", "--out", name.as_str()];
        assert_eq!(braid(folder.path(), &made).1, "");
    }
    let (text, _) = braid(folder.path(), &["survey", "--rounds", "0", "."]);
    assert!(text.contains("below each: kinds of places; functions"), "{text}");
    assert!(text.contains("\n 1.  0x") || text.contains("\n1.  0x"), "{text}");
    let wide = text.lines().find(|line| line.chars().count() > WIDEST);
    assert_eq!(wide, None, "more than {WIDEST} columns: {text}");
}

#[test]
fn all_of_an_explanation_fits() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut names = Vec::new();
    for workload in ["erc20", "dex", "range", "mint-serial"] {
        let name = format!("{workload}.json");
        let made =
            ["gen", "--workload", workload, "--txs", "60", "--hot", "60", "--out", name.as_str()];
        assert_eq!(braid(folder.path(), &made).1, "");
        names.push(name);
    }
    let mut broken = 0;
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    for arguments in [&all[..1], &all[1..2], &all[2..3], &all[3..], &all[..]] {
        for whole in [&["--whole"][..], &[]] {
            let (text, _) =
                braid(folder.path(), &[&["explain", "--rounds", "1"], whole, arguments].concat());
            assert!(text.contains("conflict chain"), "{text}");
            // A place is one word, as `--without` takes it.
            let is_wide = |line: &&str| line.chars().count() > WIDEST && line.trim().contains(' ');
            assert_eq!(text.lines().find(is_wide), None, "more than {WIDEST} columns: {text}");
            // The chain of transactions is longer than a line.
            broken +=
                text.lines().filter(|line| line.starts_with("  ") && line.contains("->")).count();
        }
    }
    assert!(broken > 0, "no sentence was broken");
}

#[test]
fn an_error_is_one_line_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bad.json"), "{}").expect("it is written");
    for (arguments, part) in [
        (&["run", "gone.json"][..], "gone.json"),
        (&["run", "bad.json"], "bad.json"),
        (&["chain", "verify", "nowhere"], "braid chain init"),
        (&["trace", "--tx", "1", "gone.json"], "gone.json"),
        (&["explain", "gone.json"], "gone.json"),
    ] {
        let (_, errors) = braid(folder.path(), arguments);
        let lines: Vec<&str> = errors.lines().collect();
        let error = lines.iter().find(|line| line.starts_with("error: "));
        let error = error.unwrap_or_else(|| panic!("{arguments:?}: no error in {errors:?}"));
        assert!(error.contains(part), "{arguments:?}: {error}");
        assert!(!errors.contains('\u{1b}'), "{arguments:?}: {errors:?}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("error: ")).count(), 1, "{errors}");
    }
}
