//! docs/PATHS.md: every strategy and reason is on the page, and its examples start with the
//! strategy that it states.

use std::{fs, path::Path, process::Command};

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

#[test]
fn the_page_names_every_strategy_and_reason() {
    let (source, page) = (text("src/evm/plan/strategy.rs"), text("docs/PATHS.md"));
    let words = source.lines().filter_map(|line| line.trim().strip_prefix("Self::"));
    let words = words.filter_map(|line| line.split_once(" => \"")?.1.strip_suffix("\","));
    let words: Vec<_> = words.collect();
    assert!(words.len() >= 18, "{words:?}");
    for said in words {
        assert!(page.contains(&format!("| {said} |")), "the page does not explain: {said}");
    }
}

/// Runs a shell command in `folder`, with the tool in its path.
fn shell(folder: &Path, line: &str) -> String {
    let tool = Path::new(env!("CARGO_BIN_EXE_braid")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", tool.display());
    let mut command = Command::new("sh");
    let output = command.args(["-c", line]).current_dir(folder).env("PATH", path).output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Returns strategy and reason of each segment of the block.
fn path(json: &str) -> Vec<String> {
    let line = json.lines().next().expect("a line for the block");
    let block: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let segments = block["segments"].as_array().expect("a path").iter();
    segments.map(|segment| segment["why"].as_str().expect("words").to_owned()).collect()
}

#[test]
fn the_examples_begin_as_the_page_says() {
    let page = text("docs/PATHS.md");
    let rows = page.lines().filter(|line| line.starts_with("| `--workload"));
    let mut tried = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [generate, run, begins] = cells[..] else { panic!("{row}") };
        let folder = tempfile::tempdir().expect("a folder");
        let generate = generate.trim_matches('`');
        shell(folder.path(), &format!("braid gen --no-signatures {generate} --out b.json.gz"));
        let (run, bal) = run.split_once(" with ").map_or((run, ""), |(run, bal)| (run, bal));
        let bal = if bal.is_empty() { "" } else { "--bal lists" };
        if !bal.is_empty() {
            shell(folder.path(), "braid run --rounds 1 --emit-bal lists b.json.gz");
        }
        let run = run.trim_matches('`');
        let line = format!("braid run {run} {bal} --rounds 1 --pause 0 --json b.json.gz");
        let found = path(&shell(folder.path(), &line));
        let expected: Vec<&str> = begins.split("; then ").collect();
        assert_eq!(found[..expected.len().min(found.len())], expected, "{row}: {found:?}");
        tried += 1;
    }
    assert!(tried >= 10, "{tried} examples");
}

/// Each reason is in an example command, or refers to an existing test.
#[test]
fn each_reason_has_an_example() {
    let (source, page) = (text("src/evm/plan/strategy.rs"), text("docs/PATHS.md"));
    let reasons = source.split("impl fmt::Display for Reason").nth(1).expect("reasons have words");
    let reasons = reasons.split("\n}").next().unwrap_or_default().lines();
    let said = reasons.filter_map(|line| line.split_once(" => \"")?.1.strip_suffix("\","));
    let examples = page.split("## Examples").nth(1).expect("examples");
    let files = [
        "tests/reasons.rs",
        "tests/declared.rs",
        "tests/equivalence/after_batches.rs",
        "src/evm/drive.rs",
        "src/evm/plan/progress.rs",
    ];
    let tests = files.map(text).concat();
    let is_shown = |said: &str| {
        examples.lines().filter(|line| line.starts_with("| ") && line.contains(said)).any(|line| {
            let test = line.split('`').nth(1).unwrap_or_default();
            line.starts_with("| `--workload") || tests.contains(&format!("fn {test}()"))
        })
    };
    let said: Vec<&str> = said.collect();
    assert!(said.len() >= 14, "{said:?}");
    for said in said {
        assert!(is_shown(said), "no example shows: {said}");
    }
}
