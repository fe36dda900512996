//! Completions and the manual page name every command, and each command's help fits a terminal.

use crate::help::{commands, help_fits, page_has_help, print, texts};

const TOOL: &str = env!("CARGO_BIN_EXE_braid-node");

#[test]
fn every_help_fits_a_terminal() {
    let checked = help_fits(TOOL, &[]);
    assert!(checked > 10, "only {checked} commands");
}

#[test]
fn the_page_has_every_help() {
    page_has_help("braid-node", TOOL);
}

#[test]
fn every_command_is_named() {
    let help = print(TOOL, &["--help"]);
    let commands = commands(&help);
    assert!(commands.contains(&"run") && commands.contains(&"top"), "{commands:?}");
    for text in texts(TOOL) {
        for command in &commands {
            // The manual page, in roff, has a backslash before each hyphen.
            let is_named = text.contains(command) || text.contains(&command.replace('-', "\\-"));
            assert!(is_named, "{command}: {}", &text[..80]);
        }
        assert!(text.contains("receipts"), "{}", &text[..80]);
    }
}
