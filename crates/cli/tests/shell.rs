//! Completions and the manual page name every command, and each command's help fits a terminal.

use std::process::Command;

fn print(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_braid")).args(arguments).output();
    let output = output.expect("the tool starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Columns of a line of help.
const WIDEST: usize = 100;

/// The commands that `help` lists. A description may go on below its command.
fn commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    names.filter_map(|line| line.split_whitespace().next()).collect()
}

/// Checks the help of the command at `path` and of all below it. Returns their number.
fn help_fits(path: &[&str]) -> usize {
    let long = print(&[path, &["--help"]].concat());
    for help in [&long, &print(&[path, &["-h"]].concat())] {
        // An address cannot be broken.
        let is_wide = |line: &&str| line.chars().count() > WIDEST && line.trim().contains(' ');
        assert_eq!(help.lines().find(is_wide), None, "{path:?}: more than {WIDEST} columns");
        assert!(!help.contains('\u{1b}'), "{path:?}: a colour");
    }
    let below = commands(&long).into_iter().filter(|name| *name != "help");
    1 + below.map(|name| help_fits(&[path, &[name]].concat())).sum::<usize>()
}

#[test]
fn every_help_fits_a_terminal() {
    let checked = help_fits(&[]);
    assert!(checked > 30, "only {checked} commands");
}

#[test]
fn every_command_is_named() {
    let help = print(&["--help"]);
    let commands = commands(&help);
    assert!(commands.contains(&"run") && commands.contains(&"t8n"), "{commands:?}");
    let mut texts: Vec<String> = vec![print(&["man"])];
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        texts.push(print(&["completions", shell]));
    }
    for text in &texts {
        for command in &commands {
            assert!(text.contains(command), "{command}: {}", &text[..80]);
        }
        assert!(text.contains("state.fork"), "{}", &text[..80]);
    }
}
