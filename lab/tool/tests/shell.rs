//! Completions and the manual page name every command, and each command's help fits a terminal.

use crate::help::{commands, help_fits, page_has_help, print, texts};

const TOOL: &str = env!("CARGO_BIN_EXE_braid-lab");

#[test]
fn every_help_fits_a_terminal() {
    let checked = help_fits(TOOL, &[]);
    assert!(checked > 14, "only {checked} commands");
}

#[test]
fn the_page_has_every_help() {
    page_has_help("braid-lab", TOOL);
}

#[test]
fn every_command_is_named() {
    let help = print(TOOL, &["--help"]);
    let commands = commands(&help);
    for command in ["t8n", "statetest", "blocktest", "sim", "shards", "bench"] {
        assert!(commands.contains(&command), "{commands:?}");
    }
    for text in texts(TOOL) {
        for command in &commands {
            assert!(text.contains(command), "{command}: {}", &text[..80]);
        }
        assert!(text.contains("state.fork"), "{}", &text[..80]);
    }
}

#[test]
fn other_names_of_commands_are_kept() {
    for (name, other) in
        [("statetest", "stest"), ("blocktest", "btest"), ("blocktest", "blockchaintest")]
    {
        let [one, two] = [name, other].map(|it| print(TOOL, &[it, "--help"]));
        assert_eq!(one, two, "{other}");
    }
}
