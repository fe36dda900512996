//! Reads the README's commands, so that the recipes run what a newcomer types.

use std::fs;
use std::path::Path;

/// The README's first two shell commands.
pub(crate) struct Commands {
    /// Runs the main job, without any data.
    pub(crate) main_job: String,
    /// Runs the tests.
    pub(crate) tests: String,
}

/// Reads the commands from `root/README.md`.
pub(crate) fn commands(root: &Path) -> Result<Commands, String> {
    let path = root.join("README.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut commands = shell_commands(&text);
    match (commands.next(), commands.next()) {
        (Some(main_job), Some(tests)) if tests.starts_with("cargo test") => {
            Ok(Commands { main_job: main_job.to_owned(), tests: tests.to_owned() })
        }
        (first, second) => Err(format!(
            "{}: expected the main job and `cargo test ...` as the first two shell commands, \
             found {first:?} and {second:?}",
            path.display()
        )),
    }
}

/// Marks around the durations of the README's first two commands.
const WAITS: [&str; 2] = ["<!-- newcomer: begin -->\n", "<!-- newcomer: end -->\n"];

/// Returns `text` with `words` between the marks.
pub(crate) fn with_waits(text: &str, words: &str) -> Result<String, String> {
    let [begin, end] = WAITS;
    let parts = text.split_once(begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(end)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| format!("README.md has no {begin:?} and {end:?}"))?;
    Ok(format!("{before}{begin}{words}\n{end}{after}"))
}

/// Returns the lines of all `sh` blocks, without comments.
fn shell_commands(text: &str) -> impl Iterator<Item = &str> {
    let mut language = None;
    text.lines().filter(move |line| {
        if let Some(mark) = line.strip_prefix("```") {
            language = if language.is_some() { None } else { Some(mark.trim()) };
            return false;
        }
        language == Some("sh") && !line.trim().is_empty() && !line.starts_with('#')
    })
}

#[cfg(test)]
mod tests {
    use super::{commands, shell_commands, with_waits};
    use crate::workspace::root;
    use std::fs;

    #[test]
    fn only_shell_blocks_count() {
        let text = "cargo no\n```rust\nlet no = 1;\n```\n```sh\n# no\ncargo one\n\ncargo two\n```\n\
                    ```\nno\n```\n```sh\ncargo three\n```\n";
        let found: Vec<&str> = shell_commands(text).collect();
        assert_eq!(found, ["cargo one", "cargo two", "cargo three"]);
    }

    #[test]
    fn the_first_commands_are_there() {
        assert!(commands(&root()).is_ok_and(|commands| commands.main_job.contains("run")));
    }

    #[test]
    fn the_readme_has_a_place_for_waits() {
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        let written = with_waits(&readme, "5 min").unwrap();
        assert!(written.contains("\n5 min\n") && with_waits("", "").is_err());
        assert_eq!(with_waits(&written, "5 min").unwrap(), written);
    }

    #[test]
    fn the_example_is_compiled_and_run_as_it_stands() {
        let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        let readme = read("README.md");
        let (_, rest) = readme.split_once("```rust\n").unwrap();
        let (shown, _) = rest.split_once("```").unwrap();
        let compiled = read("examples/readme.rs");
        let (comment, compiled) = compiled.split_once("\n\n").unwrap();
        assert!(comment.lines().all(|line| line.starts_with("//!")));
        assert_eq!(shown, compiled);
    }
}
