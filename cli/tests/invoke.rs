//! Runs the tool as a user does.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Characters of what the tool says that a failed test shows.
const SHOWN: usize = 2_000;

/// Runs the tool in `folder` and asserts its exit code. Returns standard output, and with it the
/// error stream where no data is asked for.
#[track_caller]
pub(crate) fn tool(folder: &Path, arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    let output = command.output().expect("the tool starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    let said: String = all.chars().take(SHOWN).collect();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let is_data = arguments.contains(&"--json") || arguments.contains(&"-");
    if is_data { text(&output.stdout) } else { all }
}
