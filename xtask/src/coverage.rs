//! The lines and functions of the library that the fuzzer's inputs reach, target by target.

use crate::fuzzing::{REPLAYED, chosen, copy_inputs, empty, fuzz_dir, in_words};
use crate::install;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, output, target_dir};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Source folders, each with the minimum percentage of lines that all inputs together must reach.
const COVERED: [(&str, f64); 3] = [("src/evm/", 90.0), ("src/mv/", 90.0), ("src/protocol/", 90.0)];

/// The library, without the crates that test it.
const LIBRARY: &str = "src/";

/// Replays the committed inputs of each target, or only of `target`, and shows the share of the
/// library's lines that they reach, and the functions that none reaches.
pub(crate) fn coverage(runner: &mut Runner, target: Option<&str>) -> Result<(), Failed> {
    install::subcommand(runner, "llvm-cov")?;
    let root = runner.root().to_owned();
    let profiles = Profiles::new(&root);
    let replayed = target.is_none().then_some(REPLAYED);
    let targets: Vec<_> = chosen(target).into_iter().chain(replayed).collect();
    let run = |name: &str| {
        llvm(&format!("run --locked --no-report -p braid-fuzz --bin {name} -- --as-fuzzer"))
    };
    // A report is about all programs that there are, so all are built before the first report.
    runner.command("coverage: forget earlier builds", llvm("clean --workspace"))?;
    for name in &targets {
        runner.quietly(&format!("coverage: build of {name}"), run(name))?;
    }
    runner.command("coverage: forget their profiles", llvm("clean --profraw-only"))?;
    runner.check("coverage: profiles", |_| profiles.empty().map(|()| String::new()))?;
    let (mut functions, mut table) = (Functions::default(), Vec::new());
    for name in targets {
        let inputs = fuzz_dir(&root).join("covered").join(name);
        runner.check(&format!("inputs of {name}"), |root| {
            empty(&inputs).and_then(|()| copy_inputs(root, name, &inputs)).map_err(in_words)
        })?;
        let mut replay = run(name);
        replay.arg(&inputs);
        runner.quietly(&format!("coverage of {name}"), replay)?;
        runner.check(&format!("{name}: what is reached"), |root| {
            let report = Report::read(root)?;
            functions.note(&report, root);
            let reached = Lines::of(&report, &root.join(LIBRARY));
            table.push((name, reached));
            profiles.put_aside()?;
            Ok(format!("{reached} of src"))
        })?;
    }
    runner.check("coverage", |root| {
        profiles.put_back()?;
        let report = Report::read(root)?;
        table.push(("all", Lines::of(&report, &root.join(LIBRARY))));
        for (name, reached) in &table {
            println!("    {name:<18} {reached}");
        }
        let missed = functions.missed();
        println!("    {} functions that no input reaches:", missed.len());
        for (file, line) in missed {
            println!("        {}:{line}: {}", file.display(), source_line(root, file, line));
        }
        if target.is_some() { Ok(String::new()) } else { judge(&report, root) }
    })
}

fn llvm(line: &str) -> Command {
    let mut command = cargo(&format!("llvm-cov {line}"));
    // Adds the toolchain's LLVM tools without asking.
    command.env("CARGO_LLVM_COV_SETUP", "yes");
    command
}

/// What is read of a report in the JSON of `llvm-cov export`.
#[derive(Debug, Deserialize)]
struct Report {
    data: [Data; 1],
}

#[derive(Debug, Deserialize)]
struct Data {
    files: Vec<SourceFile>,
    #[serde(default)]
    functions: Vec<Function>,
}

#[derive(Debug, Deserialize)]
struct SourceFile {
    filename: PathBuf,
    summary: Summary,
}

#[derive(Debug, Deserialize)]
struct Summary {
    lines: Lines,
}

/// An instance of a function.
#[derive(Debug, Deserialize)]
struct Function {
    filenames: Vec<PathBuf>,
    count: u64,
    /// Its first region begins with the function's first line.
    regions: Vec<Vec<u64>>,
}

impl Report {
    /// Returns the report on the profiles that are in place.
    fn read(root: &Path) -> Result<Self, String> {
        let mut report = llvm("report --json");
        report.current_dir(root);
        serde_json::from_str(&output(report)?).map_err(|error| error.to_string())
    }
}

/// The profiles of one target at a time are in place; those of the others are put aside.
struct Profiles {
    in_place: PathBuf,
    aside: PathBuf,
}

impl Profiles {
    fn new(root: &Path) -> Self {
        let in_place = target_dir(root).join("llvm-cov-target");
        Self { in_place, aside: fuzz_dir(root).join("profiles") }
    }

    fn empty(&self) -> Result<(), String> {
        empty(&self.aside).map_err(in_words)
    }

    fn put_aside(&self) -> Result<(), String> {
        self.transfer(&self.in_place, &self.aside)
    }

    fn put_back(&self) -> Result<(), String> {
        self.transfer(&self.aside, &self.in_place)
    }

    /// Moves the profiles in `from` to `to`; both are below one target folder.
    fn transfer(&self, from: &Path, to: &Path) -> Result<(), String> {
        for file in files(from)? {
            if file.extension().is_some_and(|extension| extension == "profraw")
                && let Some(name) = file.file_name()
            {
                fs::rename(&file, to.join(name)).map_err(in_words)?;
            }
        }
        Ok(())
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(in_words)?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(in_words)?;
    files.sort();
    Ok(files)
}

/// Numbers of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct Lines {
    count: u64,
    covered: u64,
}

impl core::fmt::Display for Lines {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:5.1} % of {} lines", self.percent(), self.count)
    }
}

impl Lines {
    /// Returns the lines of the files in `folder`, without tests.
    fn of(report: &Report, folder: &Path) -> Self {
        let [Data { files, .. }] = &report.data;
        let is_in = |file: &&SourceFile| {
            file.filename.starts_with(folder) && !file.filename.iter().any(|part| part == "tests")
        };
        files.iter().filter(is_in).map(|file| file.summary.lines).fold(
            Self::default(),
            |sum, it| Self { count: sum.count + it.count, covered: sum.covered + it.covered },
        )
    }

    fn percent(self) -> f64 {
        100.0 * self.covered as f64 / self.count.max(1) as f64
    }
}

/// Functions of the library, by file and first line, and whether an input reaches any instance.
#[derive(Debug, Default)]
struct Functions(BTreeMap<(PathBuf, u64), bool>);

impl Functions {
    fn note(&mut self, report: &Report, root: &Path) {
        let [Data { functions, .. }] = &report.data;
        for Function { filenames, count, regions } in functions {
            let line = regions.first().and_then(|region| region.first());
            if let (Some(file), Some(line)) = (filenames.first(), line)
                && let Ok(file) = file.strip_prefix(root)
                && file.starts_with(LIBRARY)
                && !file.iter().any(|part| part == "tests")
            {
                *self.0.entry((file.to_owned(), *line)).or_default() |= *count > 0;
            }
        }
    }

    fn missed(&self) -> Vec<(&Path, u64)> {
        let missed = self.0.iter().filter(|(_, is_reached)| !**is_reached);
        missed.map(|((file, line), _)| (file.as_path(), *line)).collect()
    }
}

fn source_line(root: &Path, file: &Path, line: u64) -> String {
    let text = fs::read_to_string(root.join(file)).unwrap_or_default();
    let at = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    text.lines().nth(at).unwrap_or_default().trim().to_owned()
}

/// Compares the lines that all inputs reach with the minimum of each folder.
fn judge(report: &Report, root: &Path) -> Result<String, String> {
    let (mut said, mut low) = (Vec::new(), Vec::new());
    for (folder, at_least) in COVERED {
        let lines = Lines::of(report, &root.join(folder));
        if lines.count == 0 {
            return Err(format!("nothing is known of {folder}"));
        }
        said.push(format!("{folder} {lines}"));
        if lines.percent() < at_least {
            low.push(format!("less than {at_least} % of {folder}"));
        }
    }
    let said = said.join(", ");
    if low.is_empty() { Ok(said) } else { Err(format!("{said}: {}", low.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::{Functions, Report, judge};
    use serde_json::{Value, json};
    use std::path::Path;

    fn parsed(data: Value) -> Report {
        serde_json::from_value(json!({"data": [data], "type": "llvm.coverage.json.export"}))
            .unwrap()
    }

    /// Returns a report in which `covered` lines of ten ran in each folder, and none elsewhere.
    fn report(folders: &[&str], covered: u32) -> Report {
        let file = |path: String, covered| json!({"filename": path, "summary": {"lines": {"count": 10, "covered": covered}}});
        let mut files: Vec<_> =
            folders.iter().map(|it| file(format!("/r/src/{it}/a.rs"), covered)).collect();
        let others = ["/r/src/mv/tests/b.rs", "/other/src/mv/c.rs"];
        files.extend(others.map(|it| file(it.to_owned(), 0)));
        parsed(json!({"files": files}))
    }

    #[test]
    fn few_lines_fail_and_so_does_a_folder_without_any() {
        let judge = |folders: &[&str], covered| judge(&report(folders, covered), Path::new("/r"));
        let all = ["evm", "mv", "protocol"];
        assert!(judge(&["mv"], 10).unwrap_err().contains("nothing is known of src/evm/"));
        assert!(judge(&all, 8).unwrap_err().contains("less than 90 % of src/mv/"));
        assert!(judge(&all, 9).unwrap().contains("src/protocol/  90.0 % of 10 lines"));
    }

    /// A generic function is reached if one of its instances is, in any target.
    #[test]
    fn functions_that_no_target_reaches_are_named() {
        let of = |file: &str, line: u64, count: u64| json!({"filenames": [file], "regions": [[line, 1, line + 2, 1]], "count": count});
        let first = json!([
            of("/r/src/a.rs", 1, 0),
            of("/r/src/a.rs", 1, 3),
            of("/r/src/a.rs", 9, 0),
            of("/r/src/a.rs", 20, 0),
            of("/r/src/mv/tests/b.rs", 1, 0),
            of("/r/models/src/a.rs", 1, 0),
        ]);
        let mut found = Functions::default();
        for functions in [first, json!([of("/r/src/a.rs", 9, 1)])] {
            let report = parsed(json!({"files": [], "functions": functions}));
            found.note(&report, Path::new("/r"));
        }
        assert_eq!(found.missed(), [(Path::new("src/a.rs"), 20)]);
    }
}
