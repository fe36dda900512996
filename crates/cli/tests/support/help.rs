//! Checks the help of a tool: it fits a terminal, and completions and the manual page name every
//! command.

use std::process::Command;

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
