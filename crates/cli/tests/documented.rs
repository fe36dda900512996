//! Runs the commands of pages.

use std::{fmt::Write, path::Path, process::Command};

const COMMAND: &str = "```sh\n";
const OUTPUT: &str = "\n```text\n";
const END: &str = "```\n";
/// Environment variable that makes the test write the page instead of comparing it.
const WRITES: &str = "BRAID_WRITE_PAGES";

/// Runs every shell block of a page in order, in one new folder that also contains the project's
/// `lab`. The output must equal the text block that follows, if there is one. Returns the number of
/// text blocks.
///
/// # Panics
/// A command fails or prints something else.
pub(crate) fn executed(page: &str) -> usize {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let project = project.canonicalize().expect("the project");
    let path = project.join("docs").join(page);
    let text = std::fs::read_to_string(&path).expect("the page");
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(project.join("lab"), folder.path().join("lab")).expect("a link");
    let mut parts = text.split(COMMAND);
    let mut written = parts.next().expect("a beginning").to_owned();
    let mut outputs = 0;
    for part in parts {
        let (command, rest) = part.split_once(END).expect("the end of the command");
        let printed = run(command, folder.path());
        // Writing to a string cannot fail.
        let _ = write!(written, "{COMMAND}{command}{END}");
        let said = rest.strip_prefix(OUTPUT).and_then(|rest| rest.split_once(END));
        let Some((said, after)) = said else {
            written += rest;
            continue;
        };
        if std::env::var_os(WRITES).is_none() {
            assert_eq!(said, printed, "run this test with {WRITES}=1: {command}");
        }
        let _ = write!(written, "{OUTPUT}{printed}{END}{after}");
        outputs += 1;
    }
    if std::env::var_os(WRITES).is_some() {
        std::fs::write(&path, written).expect("the page can be written");
    }
    outputs
}

/// Returns the standard output of a command line, followed by its standard error.
pub(crate) fn run(command: &str, folder: &Path) -> String {
    let tool = Path::new(env!("CARGO_BIN_EXE_braid")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-e", "-c", command])
        .env("PATH", format!("{}:{path}", tool.display()))
        .current_dir(folder)
        .output()
        .expect("a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    let all = text(&output.stdout) + &text(&output.stderr);
    all.trim_end().to_owned() + "\n"
}
