//! Runs the tool as a child process.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// Returns the output of `braid-lab` in `folder`, without colours and without a terminal.
pub(crate) fn output(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid-lab"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env_remove("CLICOLOR_FORCE").env_remove("FORCE_COLOR");
    command.output().expect("the tool starts")
}

/// Runs `braid-lab` in `folder` and asserts its exit code. Returns standard output, followed by
/// standard error.
#[track_caller]
pub(crate) fn lab(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = output(folder, arguments);
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8(all).expect("text");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {all}");
    all
}
