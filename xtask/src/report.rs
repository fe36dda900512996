//! Tests the pages of `braid report` and `braid survey` in a real browser.

use crate::install;
use crate::runner::{Failed, Runner};
use crate::workspace::{cargo, is_there, target_dir};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Path of Debian's package.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Generates the pages of a block of 2,000 transactions and of the generated chain, and tests both
/// in headless Chromium, with screenshots in `target/report`. With `pictures`, draws the README's
/// pictures instead.
///
/// `BRAID_CHROMIUM` names the browser, which must exist then; the default is the system's.
pub(crate) fn report(runner: &mut Runner, pictures: bool) -> Result<(), Failed> {
    let named = env::var_os("BRAID_CHROMIUM").map(PathBuf::from);
    let chromium = named.clone().unwrap_or_else(|| CHROMIUM.into());
    if !is_there(&chromium, &["--version"]) {
        let why = format!("{} cannot be run", chromium.display());
        if named.is_some() {
            return runner.check("page in a browser", |_| Err(why.clone()));
        }
        runner.skip("page in a browser", &format!("{why}: install it, or set BRAID_CHROMIUM"));
        return Ok(());
    }
    let target = target_dir(runner.root());
    let folder = target.join("report");
    // The driver alone: the browser is the system's.
    install::npm(runner, "xtask/report", &folder, "node_modules/puppeteer-core")?;
    let tool = match env::var_os("BRAID_TOOL") {
        Some(tool) => PathBuf::from(tool),
        None => {
            runner.command("tool: build", cargo("build --locked --release -p braid-cli"))?;
            target.join("release/braid")
        }
    };
    if pictures {
        return draw_pictures(runner, &tool, &folder, &chromium);
    }
    let [block, one, several] =
        ["block.json.zst", "one.html", "several.html"].map(|it| folder.join(it));
    let mut generate = Command::new(&tool);
    generate.args(["gen", "--workload", "dex", "--txs", "2000", "--hot", "20", "--no-signatures"]);
    runner.quietly("page: block", with(generate, "--out", &block))?;
    let mut draw = Command::new(&tool);
    draw.args(["report", "--rounds", "1", "--pause", "0"]).arg(&block);
    runner.quietly("page: one block", with(draw, "--out", &one))?;
    let mut draw = Command::new(&tool);
    draw.args(["report", "--rounds", "0"]);
    runner.quietly("page: several blocks", with(draw, "--out", &several))?;
    let mut check = Command::new("node");
    check.arg(runner.root().join("xtask/report/check.mjs")).arg(&one).arg(&several);
    check.arg(folder.join("pictures")).env("BRAID_CHROMIUM", &chromium).current_dir(&folder);
    runner.command("page in a browser", check)?;
    survey(runner, &tool, &folder, &chromium)
}

/// Draws the README's two pictures of `braid report`. The page has no measured times, so the
/// pictures depend only on the code and the browser.
fn draw_pictures(
    runner: &mut Runner,
    tool: &Path,
    folder: &Path,
    chromium: &Path,
) -> Result<(), Failed> {
    let (block, page) = (folder.join("dex-300.json.zst"), folder.join("dex-300.html"));
    let mut generate = Command::new(tool);
    generate.args(["gen", "--workload", "dex", "--txs", "300", "--hot", "30", "--no-signatures"]);
    runner.quietly("pictures: block", with(generate, "--out", &block))?;
    let mut draw = Command::new(tool);
    draw.args(["report", "--rounds", "0", "--workers", "8"]).arg(&block);
    runner.quietly("pictures: page", with(draw, "--out", &page))?;
    let mut shoot = Command::new("node");
    shoot.arg(runner.root().join("xtask/report/pictures.mjs")).arg(&page);
    shoot.arg(runner.root().join("docs/images"));
    shoot.env("BRAID_CHROMIUM", chromium).current_dir(folder);
    runner.command("pictures", shoot)
}

/// Generates the page of a survey: blocks of two forks, and a file without a block.
fn survey(runner: &mut Runner, tool: &Path, folder: &Path, chromium: &Path) -> Result<(), Failed> {
    let (blocks, page) = (folder.join("blocks"), folder.join("survey.html"));
    let text = |error: std::io::Error| error.to_string();
    let bad = blocks.join("bad.json");
    runner.check("survey: folder", |_| {
        fs::create_dir_all(&blocks).and_then(|()| fs::write(&bad, "{")).map_err(text)?;
        Ok(blocks.display().to_string())
    })?;
    for (workload, fork) in [("dex", "\"OSAKA\""), ("erc20", "\"PRAGUE\"")] {
        let block = blocks.join(format!("{workload}.json"));
        let mut generate = Command::new(tool);
        generate.args(["gen", "--txs", "200", "--hot", "30", "--no-signatures", "--workload"]);
        generate.arg(workload);
        runner.quietly("survey: block", with(generate, "--out", &block))?;
        runner.check("survey: fork", |_| {
            let file = fs::read_to_string(&block).map_err(text)?;
            fs::write(&block, file.replace("\"OSAKA\"", fork)).map_err(text)?;
            Ok(fork.to_owned())
        })?;
    }
    let mut draw = Command::new(tool);
    draw.args(["survey", "--rounds", "0"]).arg(&blocks);
    // Exit code 2 reports that one file contains no block; the page is written nevertheless.
    let drawn = with(draw, "--out", &page).output().map(|output| output.status.code());
    runner.check("survey: page", |_| match drawn {
        Ok(Some(2)) => Ok(page.display().to_string()),
        other => Err(format!("the tool ended with {other:?}")),
    })?;
    let mut check = Command::new("node");
    check.arg(runner.root().join("xtask/report/survey.mjs")).arg(&page);
    check.arg(folder.join("pictures")).env("BRAID_CHROMIUM", chromium).current_dir(folder);
    runner.command("page of a survey in a browser", check)
}

fn with(mut command: Command, option: &str, path: &Path) -> Command {
    command.arg(option).arg(path);
    command
}
