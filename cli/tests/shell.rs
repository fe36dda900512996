//! Completions and the manual page name every command.

use std::process::Command;

fn print(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_braid")).args(arguments).output();
    let output = output.expect("the tool starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_command_is_named() {
    let help = print(&["--help"]);
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
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
