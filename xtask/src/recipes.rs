//! Recipes that do not consist of others.

use crate::install;
use crate::readme;
use crate::runner::{Failed, Runner};
use crate::workspace::{add_flags, cargo, fixtures, output, shell, target_dir};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Features of the library that must build in every combination.
const FEATURES: [&str; 4] = ["evm", "testing", "mutants", "trace"];

pub(crate) fn fmt(runner: &mut Runner, apply: bool) -> Result<(), Failed> {
    let arguments = if apply { "fmt --all" } else { "fmt --all --check" };
    runner.command("formatting", cargo(arguments))
}

pub(crate) fn clippy(runner: &mut Runner) -> Result<(), Failed> {
    lint_everything(runner)?;
    let mut lint = |name: &str, set: &str| {
        runner.command(name, cargo(&format!("clippy --locked {set} -- -D warnings")))
    };
    // Only the library, because its tests would enable the Ethereum layer.
    lint("clippy: library, default features", "-p braid-evm --lib")?;
    lint("clippy: engine alone", "-p braid-evm --lib --no-default-features")?;
    lint("clippy: engine, testing", "-p braid-evm --lib --no-default-features --features testing")?;
    lint("clippy: engine, mutants", "-p braid-evm --lib --no-default-features --features mutants")
}

fn lint_everything(runner: &mut Runner) -> Result<(), Failed> {
    let lint = "clippy --locked --workspace --all-targets --all-features -- -D warnings";
    runner.command("clippy: everything", cargo(lint))
}

/// Runs the README's test command.
pub(crate) fn test(runner: &mut Runner) -> Result<(), Failed> {
    let commands = readme_commands(runner)?;
    runner.command("tests (README)", shell(&commands.tests))
}

/// Runs the README's first command.
pub(crate) fn demo(runner: &mut Runner) -> Result<(), Failed> {
    let commands = readme_commands(runner)?;
    runner.command("main job without data (README)", shell(&commands.main_job))
}

fn readme_commands(runner: &mut Runner) -> Result<readme::Commands, Failed> {
    readme::commands(runner.root()).map_err(|why| {
        println!("{why}");
        Failed
    })
}

pub(crate) fn doc(runner: &mut Runner) -> Result<(), Failed> {
    let mut command = cargo("doc --locked --workspace --no-deps --all-features");
    add_flags(&mut command, "RUSTDOCFLAGS", "-D warnings");
    runner.command("documentation", command)?;
    // Without the engine, because the interface may not link to it.
    let mut command = cargo("doc --locked -p braid-evm --no-deps --features alloy,serde,tokio");
    add_flags(&mut command, "RUSTDOCFLAGS", "-D warnings");
    runner.command("documentation as docs.rs has it", command)
}

/// The shipped tools, and the laboratory, which tests them.
const TOOLS: [&str; 3] = ["braid-cli", "braid-node", "braid-lab"];

/// Package families that only a node or the laboratory needs, and `braid` must not have.
const OF_NODES: [&str; 6] = ["fjall", "hyper", "jsonrpsee", "ratatui", "tokio", "tower"];

/// Returns the library features of `tool`; fails if it has seeded bugs or traces.
fn shipped(root: &Path, tool: &str) -> Result<String, String> {
    let mut tree =
        cargo(&format!("tree --locked -p {tool} -e no-dev --prefix none -f {{p}}|{{f}}"));
    tree.current_dir(root);
    let tree = output(tree)?;
    let library = tree.lines().find(|line| line.starts_with("braid-evm "));
    let features = library.and_then(|line| line.split_once('|')).map(|(_, features)| features);
    let shards = tree.lines().find(|line| line.starts_with("braid-shards "));
    if let Some(line) = shards.filter(|line| line.contains("mutants")) {
        return Err(format!("it has seeded bugs: {line}"));
    }
    match features {
        Some(features) if !features.split(',').any(|one| ["mutants", "trace"].contains(&one)) => {
            Ok(format!("features of the library: {features}"))
        }
        Some(features) => Err(format!("it has the features {features}")),
        None => Err("the tool does not depend on the library".to_owned()),
    }
}

/// Checks that the engine builds without revm, that no tool has seeded bugs, and that `braid` has
/// no dependency of nodes, and builds the library with each feature alone and with all of them.
/// With `all`, builds it with every combination and tests the spans of `tracing`.
pub(crate) fn features(runner: &mut Runner, all: bool) -> Result<(), Failed> {
    runner.check("engine without revm", |root| {
        let mut tree =
            cargo("tree --locked -p braid-evm --no-default-features -e no-dev --prefix none");
        tree.current_dir(root);
        let tree = output(tree)?;
        let is_ethereum = |line: &&str| line.starts_with("revm") || line.starts_with("alloy");
        match tree.lines().find(is_ethereum) {
            Some(line) => Err(format!("it depends on {line}")),
            None => Ok(format!("{} packages, none of revm or alloy", tree.lines().count())),
        }
    })?;
    for tool in TOOLS {
        runner
            .check(&format!("{tool} without seeded bugs and traces"), |root| shipped(root, tool))?;
    }
    runner.check("braid without what only nodes need", |root| {
        let mut tree = cargo("tree --locked -p braid-cli -e normal --prefix none");
        tree.current_dir(root);
        let tree = output(tree)?;
        let is_of_nodes = |line: &&str| {
            let family = line.split([' ', '-']).next().unwrap_or_default();
            OF_NODES.contains(&family)
        };
        match tree.lines().find(is_of_nodes) {
            Some(line) => Err(format!("it depends on {line}")),
            None => {
                Ok(format!("{} packages, none of {}", tree.lines().count(), OF_NODES.join(", ")))
            }
        }
    })?;
    let sets = 0_u32..1 << FEATURES.len();
    let few = |set: &u32| all || set.count_ones() <= 1 || set.count_ones() == FEATURES.len() as u32;
    for set in sets.filter(few) {
        let chosen = FEATURES.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0);
        let chosen = chosen.map(|(_, feature)| *feature).collect::<Vec<_>>().join(",");
        let mut command = cargo("check --locked -p braid-evm --lib --no-default-features");
        if !chosen.is_empty() {
            command.args(["--features", &chosen]);
        }
        let shown = if chosen.is_empty() { "none" } else { &chosen };
        runner.command(&format!("features: {shown}"), command)?;
    }
    // These features only add to `evm` and to the options; including them in every combination
    // would multiply the time.
    let check = "check --locked -p braid-evm --lib --no-default-features --features";
    runner.command("features: alloy", cargo(&format!("{check} alloy")))?;
    runner.command("features: serde", cargo(&format!("{check} serde,engine")))?;
    runner.command("features: tokio", cargo(&format!("{check} tokio")))?;
    runner.command("features: tracing", cargo(&format!("{check} evm,tracing")))?;
    if all {
        let test = "test --locked -p braid-chain --features tracing --test chain spans";
        runner.command("spans: what a chain opens", cargo(test))?;
    }
    Ok(())
}

/// Lints with the minimum supported toolchain.
pub(crate) fn msrv(runner: &mut Runner) -> Result<(), Failed> {
    oldest_toolchain(runner)?;
    // The lints include clippy::incompatible_msrv.
    lint_everything(runner)
}

/// Checks that the toolchain is the minimum supported one.
pub(crate) fn oldest_toolchain(runner: &mut Runner) -> Result<(), Failed> {
    runner.check("oldest toolchain", |root| {
        let manifest = root.join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).map_err(|error| error.to_string())?;
        let promised = manifest
            .lines()
            .find_map(|line| line.strip_prefix("rust-version = ")?.split('"').nth(1))
            .ok_or("Cargo.toml states no rust-version")?;
        let mut rustc = Command::new("rustc");
        let version = output({
            rustc.arg("--version").current_dir(root);
            rustc
        })?;
        let version = version.split(' ').nth(1).unwrap_or_default();
        if version == promised || version.starts_with(&format!("{promised}.")) {
            Ok(format!("rustc {version} is the promised {promised}"))
        } else {
            Err(format!(
                "rust-version is {promised} and this is rustc {version}: it shows nothing; use \
                 rustup run {promised} cargo xtask msrv"
            ))
        }
    })
}

/// Runs every example; each asserts what it prints.
pub(crate) fn examples(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("examples: build", cargo("build --locked --examples --features serde,tokio"))?;
    let entries = fs::read_dir(runner.root().join("examples"));
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    names.sort();
    let built = target_dir(runner.root()).join("debug/examples");
    names.iter().try_for_each(|name| {
        runner.command(&format!("example {name}"), Command::new(built.join(name)))
    })?;
    let chain = target_dir(runner.root()).join("private-chain");
    // Remove the chain of an earlier run.
    let _ = fs::remove_dir_all(&chain);
    let mut private = cargo("run --locked -p private-chain --");
    private.arg(chain).args(["--blocks", "3", "--interval", "0"]);
    runner.command("example private chain", private)
}

/// Runs the tests that the README's command leaves out: those of the recipes, and the
/// documentation's examples.
pub(crate) fn own_tests(runner: &mut Runner) -> Result<(), Failed> {
    runner.command("recipes: tests", cargo("test --quiet --locked -p xtask"))?;
    let doc = "test --quiet --locked -p braid-evm -p braid-chain --doc";
    runner.command("documentation: tests", cargo(doc))
}

/// Executes every real block, and compares with sequential execution and the block header: on three
/// workers, forced to speculate and with the default strategy; on two, in contiguous batches; with
/// `whole`, on several numbers of workers in every strategy.
pub(crate) fn blocks(runner: &mut Runner, whole: bool) -> Result<(), Failed> {
    let blocks = match fixtures(runner.root()) {
        Ok(Some(blocks)) => blocks,
        Ok(None) => {
            runner.skip("real blocks", "no fixtures: set BRAID_FIXTURES");
            return Ok(());
        }
        Err(why) => return runner.check("real blocks", |_| Err(why)),
    };
    runner.command("tool: build", cargo("build --locked --release -p braid-cli"))?;
    let tool = target_dir(runner.root()).join("release/braid");
    let (all, some): ([&[&str]; 2], [&[&str]; 2]) =
        ([&["1", "2", "3", "8"], &["1", "3"]], [&["3"], &["2"]]);
    let [many, few] = if whole { all } else { some };
    for (policy, workers) in [("speculative", many), ("auto", many), ("contiguous-batches", few)] {
        for workers in workers {
            let mut command = Command::new(&tool);
            command
                .args(["run", "--rounds", "1", "--workers", workers, "--policy", policy])
                .arg(&blocks);
            runner.quietly(&format!("real blocks: {workers} workers, {policy}"), command)?;
        }
    }
    Ok(())
}

/// Runs every schedule of the loom scenarios, with the shipped types.
pub(crate) fn loom(
    runner: &mut Runner,
    preemptions: Option<u32>,
    filter: &str,
) -> Result<(), Failed> {
    let mut command = cargo(
        "test --locked --release -p braid-evm --lib --no-default-features --features mutants",
    );
    command.args([filter, "--", "--nocapture"]);
    // A separate folder, because the flags affect every dependency.
    command.env("CARGO_TARGET_DIR", target_dir(runner.root()).join("loom"));
    add_flags(&mut command, "RUSTFLAGS", "--cfg braid_loom -D warnings");
    if let Some(preemptions) = preemptions {
        command.env("LOOM_MAX_PREEMPTIONS", preemptions.to_string());
    }
    runner.command("loom", command)
}

/// Writes the tables into the pages. The same tests check them if the variable is not set.
pub(crate) fn pages(runner: &mut Runner) -> Result<(), Failed> {
    let mut command = cargo("test --locked -p xtask --test source -- --test-threads=1");
    command.env("BRAID_WRITE_PAGES", "1");
    runner.command("pages", command)
}

/// Tests the embedded stores on which blocks are measured; no other build includes RocksDB.
pub(crate) fn stores(runner: &mut Runner) -> Result<(), Failed> {
    let folder = target_dir(runner.root()).join("rocksdb");
    let mut step = |name: &str, line: &str| {
        let mut command = cargo(line);
        // The flags affect every dependency.
        command.env("CARGO_TARGET_DIR", &folder);
        add_flags(&mut command, "RUSTFLAGS", "--cfg braid_rocksdb -D warnings");
        runner.command(name, command)
    };
    let lint = "clippy --locked --release -p braid-lab --all-targets --features redb";
    step("stores: lints", lint)?;
    step("stores: tests", "test --locked --release -p braid-lab --features redb -- store")?;
    step("stores: lints of chains", "clippy --locked --release -p braid-chain --all-targets")?;
    let chains = "test --locked --release -p braid-chain --test chain -- store:: streams::";
    step("stores: tests of chains", chains)
}

/// Runs random blocks under random schedules in the simulated runtime, on toy machines and on the
/// EVM.
pub(crate) fn sim(runner: &mut Runner, times: u32, seed: Option<u64>) -> Result<(), Failed> {
    let mut command = cargo("test --locked --test blocks -- --nocapture");
    if let Some(seed) = seed {
        command.arg("one_seed").env("BRAID_SIM_SEED", seed.to_string());
    }
    if seed.is_none() {
        command.args(["simulation::", "simulated_blocks::"]);
    }
    command.env("BRAID_SIM_RUNS", times.to_string());
    runner.command("simulation", command)
}

/// Checks that the committed artifacts match the compiled sources.
pub(crate) fn contracts(runner: &mut Runner) -> Result<(), Failed> {
    let folder = runner.root().join("lab/contracts");
    install::npm_ci(runner, "contracts", &folder)?;
    let mut check = shell("node build.mjs --check");
    check.current_dir(folder);
    runner.command("contracts: artifacts", check)
}
