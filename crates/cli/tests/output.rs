//! Output for users: tables fit 100 columns, nothing is coloured without a terminal, and an error
//! is one line with advice.

use std::{fs, path::Path, process::Command};

/// Maximum width of a table.
const WIDEST: usize = 100;

/// Returns standard output and standard error of a command.
fn braid(folder: &Path, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    // Colours are not requested, and there is no terminal.
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("CLICOLOR_FORCE")
        .env_remove("FORCE_COLOR");
    let output = command.output().expect("the tool starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

/// Returns the rows of a table: the lines that start with one of `names`, and the line above the
/// first of them.
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
    assert!(text.contains("below each: kinds of locations; functions"), "{text}");
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
            // A location is one word, in the form that `--without` accepts.
            let is_wide = |line: &&str| line.chars().count() > WIDEST && line.trim().contains(' ');
            assert_eq!(text.lines().find(is_wide), None, "more than {WIDEST} columns: {text}");
            // The chain of transactions is longer than one line.
            broken +=
                text.lines().filter(|line| line.starts_with("  ") && line.contains("->")).count();
        }
    }
    assert!(broken > 0, "no sentence was broken");
}

/// Each command's message for a common mistake is one line with advice, and nothing else is on
/// standard error.
#[test]
fn an_error_is_one_line_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for name in ["good.json", "other.json", "good.json.gz"] {
        let made = ["gen", "--workload", "transfers", "--txs", "3", "--out", name];
        assert_eq!(braid(folder, &made).1, "");
    }
    assert_eq!(braid(folder, &["run", "--rounds=1", "--emit-bal", "lists", "good.json"]).1, "");
    let packed = fs::read(folder.join("good.json.gz")).expect("it is there");
    for (name, bytes) in [
        ("empty.json", &b"{}"[..]),
        ("text.json", b"index\tfile\n"),
        ("cut.json.gz", &packed[..packed.len() / 2]),
        ("text.rlp", b"no list"),
    ] {
        fs::write(folder.join(name), bytes).expect("it is written");
    }
    fs::create_dir(folder.join("nothing")).expect("it is made");
    let gone = "write a block file with braid gen or braid fetch";
    for (arguments, advice) in [
        ("run gone.json", gone),
        ("run nothing", "name another folder"),
        ("run empty.json", "braid fetch and braid gen write, found nothing"),
        ("run text.json", "braid gen and braid fetch write such files"),
        ("run cut.json.gz", "copy the file again"),
        ("run --bal gone.rlp good.json", "braid run --emit-bal DIR writes the lists"),
        ("run --bal text.rlp good.json", "braid run --emit-bal DIR writes the lists"),
        ("run --bal text.rlp good.json other.json", "expected one block for this file"),
        ("run --emit-bal lists good.json", "--force overwrites it"),
        ("run --emit-bal good.json/lists good.json", "name another folder with --emit-bal"),
        ("run --emit-bal more --mode build good.json", "expected --mode validate"),
        ("explain gone.json", gone),
        ("explain --by time --rounds 0 good.json", "leave out one of them"),
        ("report gone.json", gone),
        ("report --out nowhere/page.html good.json", "name another file with --out"),
        ("compare good.json gone.json", gone),
        ("survey gone.json", gone),
        ("lint gone.json", gone),
        ("lint --abi gone.abi good.json", "name a file that solc or forge has written"),
        ("lint --abi text.json good.json", "expected JSON, as solc or forge writes it"),
        ("trace --tx 0 gone.json", gone),
        ("trace --tx 0 nothing", "name one block file in it"),
        ("trace --tx 3 good.json", "the block has transactions 0 to 2"),
        ("gen --workload dex --txs 1 --out block.txt", "ends in .json, .json.gz or .json.zst"),
        ("gen --workload dex --txs 1 --out nowhere/block.json", "the folder nowhere is missing"),
        ("fetch --rpc nowhere --block latest --out a.json", "http://127.0.0.1:8545"),
        ("fetch --rpc http://127.0.0.1:1 --attempts 1 --block 1 --out a.json", "check the URL"),
        ("bench gone.json", "expected a file, a folder or one of the workloads"),
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let (_, errors) = braid(folder, &words);
        assert!(errors.starts_with("error: "), "{arguments}: {errors:?}");
        assert_eq!(errors.lines().count(), 1, "{arguments}: {errors}");
        assert!(errors.contains(advice), "{arguments}: {errors}");
        assert!(!errors.contains('\u{1b}'), "{arguments}: {errors:?}");
    }
}
