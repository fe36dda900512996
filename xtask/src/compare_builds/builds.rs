//! Provides the two builds. The build of a revision is kept below the target folder under the
//! revision's name; the build of the working tree is where cargo puts it.

use super::args::CompareArgs;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, output, target_dir};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths of the two builds of the tool.
pub(super) struct Tools {
    pub(super) old: PathBuf,
    pub(super) new: PathBuf,
}

/// Builds the tools that `args` does not name.
pub(super) fn tools(runner: &mut Runner, args: &CompareArgs) -> Result<Tools, Failed> {
    let target = target_dir(runner.root());
    let old = match (&args.old_tool, &args.rev) {
        (Some(tool), _) => tool.clone(),
        (None, rev) => {
            of_revision(runner, &target.join("builds"), rev.as_deref().unwrap_or("HEAD"))?
        }
    };
    let new = match &args.new_tool {
        Some(tool) => tool.clone(),
        None => build(runner, None, &target)?,
    };
    Ok(Tools { old, new })
}

/// Returns the build of a revision, and builds it only if no earlier run has.
fn of_revision(runner: &mut Runner, folder: &Path, rev: &str) -> Result<PathBuf, Failed> {
    let mut name = String::new();
    runner.check("builds: revision", |root| {
        let mut git = Command::new("git");
        git.current_dir(root).args(["rev-parse", "--short", "--verify"]);
        git.arg(format!("{rev}^{{commit}}"));
        name = output(git)?.trim().to_owned();
        Ok(name.clone())
    })?;
    let (source, target) = (folder.join(format!("{name}-source")), folder.join(&name));
    let built = target.join("dist/braid");
    if built.is_file() {
        return Ok(built);
    }
    if !source.is_dir() {
        let mut git = Command::new("git");
        git.args(["worktree", "add", "--quiet", "--force", "--detach"]).arg(&source).arg(&name);
        runner.command("builds: worktree", git)?;
    }
    let built = build(runner, Some(&source), &target)?;
    let mut git = Command::new("git");
    git.args(["worktree", "remove", "--force"]).arg(&source);
    runner.command("builds: worktree, not needed any more", git)?;
    Ok(built)
}

/// Both builds have this profile, whatever a revision's manifest says. Older revisions have none of this name.
const PROFILE: [&str; 3] = [
    r#"profile.dist.inherits="release""#,
    r#"profile.dist.lto="thin""#,
    "profile.dist.codegen-units=1",
];

/// Builds the tool in `source`, or in the working tree, into `target`.
fn build(runner: &mut Runner, source: Option<&Path>, target: &Path) -> Result<PathBuf, Failed> {
    let mut build = cargo("build --locked --profile dist -p braid-cli");
    PROFILE.iter().for_each(|setting| _ = build.args(["--config", setting]));
    build.env("CARGO_TARGET_DIR", target);
    if let Some(source) = source {
        build.current_dir(source);
    }
    runner.command("builds: tool", build)?;
    Ok(target.join("dist/braid"))
}
