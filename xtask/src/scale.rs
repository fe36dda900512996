//! Packs the tool and a script for another machine: one archive that needs no Rust, network or
//! checkout there.

use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, fixtures, shell, target_dir};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs the tool on 1 to all cores and writes `scale.md`.
const SCRIPT: &str = include_str!("scale.sh");

/// Builds the tool for measuring, and packs it with the script and the real blocks, if available.
/// With `here`, also runs it on this machine.
pub(crate) fn scale(runner: &mut Runner, here: bool) -> Result<(), Failed> {
    let target = target_dir(runner.root());
    runner.command("scale: build", cargo("build --profile dist -p braid-lab"))?;
    let folder = target.join("scale");
    runner.check("scale: pack", |root| {
        let real = fixtures(root)?;
        fill(&target, &folder, real.as_deref())
            .map_err(|error| format!("{}: {error}", folder.display()))
    })?;
    let archive = target.join("scale.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("czf").arg(&archive).arg("-C").arg(&target).arg("scale");
    runner.command("scale: archive", tar)?;
    println!(
        "    Carry {} to the machine, then: tar xzf scale.tar.gz && sh scale/run.sh && cat scale/scale.md",
        archive.display()
    );
    if here {
        let mut run = shell("sh run.sh");
        run.current_dir(&folder);
        runner.command("scale: run", run)?;
        runner.check("scale: table", |_| {
            let table = fs::read_to_string(folder.join("scale.md"));
            table.map_err(|error| error.to_string()).and_then(|table| is_whole(&table))
        })?;
    }
    Ok(())
}

fn fill(target: &Path, folder: &Path, real: Option<&Path>) -> std::io::Result<String> {
    let blocks = folder.join("blocks");
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    fs::copy(target.join("dist/braid-lab"), folder.join("braid-lab"))?;
    fs::write(folder.join("run.sh"), SCRIPT)?;
    let Some(real) = real else {
        return Ok("without real blocks: there are none here".to_owned());
    };
    fs::create_dir_all(&blocks)?;
    let mut count = 0;
    for entry in fs::read_dir(real)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if name.to_string_lossy().ends_with(".json.zst") {
            fs::copy(&path, blocks.join(name))?;
            count += 1;
        }
    }
    Ok(format!("{count} real blocks"))
}

/// Fails unless each part of the script has printed rows.
fn is_whole(table: &str) -> Result<String, String> {
    for heading in ["# On ", "## Built-in workloads", "## Contention"] {
        if !table.contains(heading) {
            return Err(format!("scale.md has no '{heading}'"));
        }
    }
    // Each row starts with a workload's name and a number of workers.
    let workloads = table.split("## ").find(|part| part.starts_with("Built-in workloads"));
    // Details are indented.
    let is_row = |line: &&str| {
        line.starts_with(char::is_alphanumeric)
            && line.split_whitespace().nth(1).is_some_and(|workers| workers.parse::<u16>().is_ok())
    };
    let rows = workloads.unwrap_or_default().lines().filter(is_row).count();
    if rows < 19 { Err(format!("{rows} rows of workloads")) } else { Ok(format!("{rows} rows")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_a_part_is_not_whole() {
        let rows = "a_raw   1   1.2\n  reads: 1234 sequential\n".repeat(19);
        let whole = format!(
            "# On 4 cores\n## Built-in workloads\n{rows}## Contention\ncontention, 2 workers\n"
        );
        assert_eq!(is_whole(&whole), Ok("19 rows".to_owned()));
        assert!(is_whole(&whole.replace("## Contention", "")).is_err());
        assert!(is_whole(&whole.replacen("a_raw   1", "a_raw", 1)).is_err());
    }
}
