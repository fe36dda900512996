//! Checks the help of a tool: it fits a terminal, and completions and the manual page name every
//! command.

use std::{fmt::Write, path::Path, process::Command};

/// Environment variable that makes a test write its page instead of comparing it.
const WRITES: &str = "BRAID_WRITE_PAGES";

/// Returns the output of `tool`.
#[track_caller]
pub(crate) fn print(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).output();
    let output = output.expect("the tool starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Maximum width of a line of help.
const WIDEST: usize = 100;

/// Returns the commands that `help` lists. A description may continue below its command.
pub(crate) fn commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    names.filter_map(|line| line.split_whitespace().next()).collect()
}

/// Checks the help of the command at `path` of `tool` and of all its subcommands, and returns their
/// number.
///
/// # Panics
/// A line is wider than a terminal, or has a colour.
pub(crate) fn help_fits(tool: &str, path: &[&str]) -> usize {
    let long = print(tool, &[path, &["--help"]].concat());
    for help in [&long, &print(tool, &[path, &["-h"]].concat())] {
        // An address cannot be wrapped.
        let is_wide = |line: &&str| line.chars().count() > WIDEST && line.trim().contains(' ');
        assert_eq!(help.lines().find(is_wide), None, "{path:?}: more than {WIDEST} columns");
        assert!(!help.contains('\u{1b}'), "{path:?}: a colour");
    }
    let below = commands(&long).into_iter().filter(|name| *name != "help");
    1 + below.map(|name| help_fits(tool, &[path, &[name]].concat())).sum::<usize>()
}

/// Returns the manual page of `tool`, and its completions for each shell.
pub(crate) fn texts(tool: &str) -> Vec<String> {
    let shells = ["bash", "zsh", "fish", "powershell", "elvish"];
    let completions = shells.map(|shell| print(tool, &["completions", shell]));
    [print(tool, &["man"])].into_iter().chain(completions).collect()
}

/// Appends the help of the command at `path` and of all its subcommands to `page`.
fn add_help(page: &mut String, name: &str, tool: &str, path: &[&str]) {
    let help = print(tool, &[path, &["--help"]].concat());
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    let command = [&[name], path].concat().join(" ");
    // Writing to a string cannot fail.
    let _ = write!(page, "\n### {command}\n\n```text\n{}\n```\n", lines.join("\n"));
    for below in commands(&help).into_iter().filter(|below| *below != "help") {
        add_help(page, name, tool, &[path, &[below]].concat());
    }
}

/// Checks that docs/CLI.md has the help of all commands of `tool` between the marks called `name`.
///
/// # Panics
/// The page has another text.
pub(crate) fn page_has_help(name: &str, tool: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CLI.md");
    let text = std::fs::read_to_string(&page).expect("the page");
    let [begin, end] = ["begin", "end"].map(|it| format!("<!-- {name}: {it} -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the first mark");
    let (found, after) = rest.split_once(&end).expect("the second mark");
    let mut help = String::new();
    add_help(&mut help, name, tool, &[]);
    if std::env::var_os(WRITES).is_some() {
        let written = format!("{before}{begin}{help}\n{end}{after}");
        std::fs::write(&page, written).expect("the page can be written");
    } else {
        assert_eq!(found.trim_end(), help.trim_end(), "run this test with {WRITES}=1");
    }
}
