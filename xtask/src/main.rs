//! The project's recipes: `cargo xtask --help`. The CI runs `cargo xtask ci` and nothing else.

mod anvil;
mod api;
mod book;
mod chain;
mod compare_builds;
mod container;
mod fuzzing;
mod instructions;
mod instrumented;
mod licences;
mod newcomer;
mod package;
mod python;
mod quick;
mod readme;
mod recipes;
mod report;
mod runner;
mod scale;
mod seeded;
mod soak;
mod spec;
mod suites;
mod verify;
mod workspace;

use chain::ChainArgs;
use clap::{Parser, Subcommand};
use compare_builds::CompareArgs;
use fuzzing::FuzzArgs;
use instructions::InstructionsArgs;
use runner::{Failed, Runner};
use soak::SoakArgs;
use std::process::ExitCode;
use suites::Size;
use verify::Blocks;

/// The project's recipes
///
/// Each step is printed with its command, its time and how it ended. The first one that fails
/// ends the recipe with exit code 1.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    recipe: Recipe,
}

#[derive(Debug, Subcommand)]
enum Recipe {
    /// What is run before each commit, in two minutes: format, lints, rules of the source, tests of the engine, and
    /// samples of random and real blocks in all strategies
    Quick,
    /// Everything that the CI runs, in its order
    Ci,
    /// Check the formatting
    Fmt {
        /// Format the files instead of checking them
        #[arg(long)]
        apply: bool,
    },
    /// Lint every feature set; warnings are errors
    Clippy,
    /// Run the README's test command
    Test,
    /// Build the documentation; warnings are errors
    Doc,
    /// Build every combination of features; the engine must not need revm, no tool may have seeded bugs, and `braid`
    /// must not need what only nodes need
    Features,
    /// Check that this toolchain is the oldest promised one and that nothing newer is used
    Msrv,
    /// Run every example
    Examples,
    /// Run the README's first command: the built-in demo chain
    Demo,
    /// Run all real blocks against a sequential run and their headers
    Blocks {
        /// On 1, 2, 3 and 8 workers in every strategy
        #[arg(long)]
        whole: bool,
    },
    /// Explore every order of events of small blocks with the shipped protocol
    Models {
        /// Blocks of four transactions too
        #[arg(long)]
        long: bool,
    },
    /// Explore every schedule of small stories with the shipped store, role and workers
    Loom {
        /// Preemptions per schedule, where a story asks for fewer
        #[arg(long)]
        preemptions: Option<u32>,
        /// Only stories whose name contains this
        #[arg(default_value = "loom")]
        filter: String,
    },
    /// Run random blocks under random schedules of the simulated runtime
    Sim {
        /// Run this many times as many schedules
        #[arg(long, default_value_t = 1)]
        times: u32,
        /// Run ten times as many schedules
        #[arg(long, conflicts_with = "times")]
        long: bool,
        /// Replay this seed of the toy machines alone (`braid-lab sim` replays those of the EVM)
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Step through small blocks in the browser, with stateright's explorer
    Explore,
    /// Replay traces of simulated and threaded blocks against a reference store
    Trace {
        /// Replay this many times as many blocks
        #[arg(long, default_value_t = 1)]
        times: u32,
    },
    /// Check that every seeded bug is noticed
    Mutants {
        /// Only those whose code has changed, as the CI does
        #[arg(long)]
        touched: bool,
    },
    /// Run cargo-mutants over the protocol and the store
    CargoMutants {
        /// A part of them, as 1/8
        #[arg(long)]
        shard: Option<String>,
        /// Leave out what an earlier run has seen noticed
        #[arg(long, conflicts_with = "shard")]
        resume: bool,
    },
    /// Run random hostile blocks against sequential revm, replay the inputs of the fuzzer, and look
    /// for new ones under AddressSanitizer
    Fuzz(FuzzArgs),
    /// Let the fuzzer run on all targets by turns, for ever or for some minutes; what it finds becomes a
    /// regression test. With --node: feed the pool of a node that makes blocks
    Soak(SoakArgs),
    /// Measure which lines the inputs of the fuzzer reach
    Coverage,
    /// Count the instructions of sequential revm and of Braid on one worker, on real and generated blocks, and compare
    /// their ratios with the record
    Instructions(InstructionsArgs),
    /// Build a revision and the working tree for measuring, and let both measure the shared real blocks by turns; fails if
    /// the working tree's build is slower beyond doubt
    CompareBuilds(CompareArgs),
    /// Build the pages as a book, target/book/html, and check its links; installs mdbook if it is not there
    Book,
    /// Write the tables of docs/data, and the tables that the source holds, into the pages
    Pages,
    /// Run the tests on threads under ThreadSanitizer
    Tsan {
        /// Blocks with the real EVM too
        #[arg(long)]
        whole: bool,
    },
    /// Everything that the CI runs, and what takes hours
    Nightly,
    /// Check licences, advisories and sources of the dependencies with cargo-deny, which has to be installed
    Deny,
    /// Check licences and sources of the dependencies, and write the bill of materials (CycloneDX) into the target folder
    Licences,
    /// Rebuild the contracts of the generated workloads and compare the artifacts (needs npm)
    Contracts,
    /// Compare the interfaces of braid-evm, braid-chain and braid-node with their lists (docs/API.txt, crates/chain/API.txt,
    /// crates/node/API.txt), check whose types they show, and what changed since the last release
    Api {
        /// Write the lists instead of comparing them
        #[arg(long)]
        write: bool,
    },
    /// Package library and tool as for crates.io, and build what is packaged
    Package,
    /// Build the Python package's wheel from a clean tree, install it into a fresh environment, and test it there
    /// (needs python3 with venv)
    Python {
        /// Spark jobs, too: installs PySpark (needs Java)
        #[arg(long)]
        spark: bool,
    },
    /// Build an image of the tool for podman, docker and Kubernetes, and lint its manifests (needs python3 with venv)
    Container {
        /// Cargo's profile for the tool
        #[arg(long, default_value = "dist")]
        profile: String,
        /// Run the image as its manifest says, too
        #[arg(long)]
        run: bool,
    },
    /// Compare braid-lab t8n with the executable specification of PyPI on random blocks (needs python3)
    Spec {
        /// How many blocks from Berlin on; a sixth as many of older forks come on top
        #[arg(long, default_value_t = 60)]
        cases: u64,
        /// Seed of the first one
        #[arg(long, default_value_t = 0)]
        first: u64,
    },
    /// Record blocks that a real node mines here, execute them, and compare with its receipts (needs
    /// npm)
    Anvil {
        /// Random blocks for each fork
        #[arg(long, default_value_t = 4)]
        blocks: u32,
    },
    /// Draw the pages of `braid report` and `braid survey` and try them in headless Chromium: hover, search, sort,
    /// zoom, dark, print, 360 pixels wide (needs npm and chromium)
    Report,
    /// Run the official test suites with an optimised `braid-lab`: each test once
    Suites {
        /// All of it, on several numbers of workers
        #[arg(long)]
        whole: bool,
    },
    /// Execute chains of random blocks, where databases, disks and writers fail, processes are killed while they
    /// write, and bits of folders are flipped
    Chain(ChainArgs),
    /// Lint and test `braid-lab bench` on embedded stores, RocksDB among them, which takes minutes to build
    /// (needs a C++ compiler and libclang)
    Stores,
    /// Pack the tool with a script that measures it on 1 to all cores of another machine, which needs nothing but a shell
    Scale {
        /// Run it on this machine, too
        #[arg(long)]
        here: bool,
    },
    /// Clone HEAD into an empty folder and time the README's first two commands there
    Newcomer {
        /// Write the times into the README
        #[arg(long)]
        write: bool,
    },
}

/// How many times as many schedules are simulated where time does not matter. The tests themselves take a tenth.
const LONG: u32 = 10;

fn main() -> ExitCode {
    let Cli { recipe } = Cli::parse();
    let mut runner = Runner::new(workspace::root());
    if matches!(recipe, Recipe::Ci) {
        runner.keep_to_budgets();
    }
    let result = run(&mut runner, &recipe);
    runner.summary();
    if matches!(recipe, Recipe::Nightly) {
        runner.headline();
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

fn run(runner: &mut Runner, recipe: &Recipe) -> Result<(), Failed> {
    match recipe {
        Recipe::Quick => quick::quick(runner),
        Recipe::Ci => ci(runner),
        Recipe::Fmt { apply } => recipes::fmt(runner, *apply),
        Recipe::Clippy => recipes::clippy(runner),
        Recipe::Test => recipes::test(runner),
        Recipe::Doc => recipes::doc(runner),
        Recipe::Features => recipes::features(runner, true),
        Recipe::Msrv => recipes::msrv(runner),
        Recipe::Examples => recipes::examples(runner),
        Recipe::Demo => recipes::demo(runner),
        Recipe::Blocks { whole } => recipes::blocks(runner, *whole),
        Recipe::Models { long } => {
            verify::models(runner, if *long { Blocks::Four } else { Blocks::Three })
        }
        Recipe::Explore => verify::explore(runner),
        Recipe::Trace { times } => verify::trace(runner, *times),
        Recipe::Loom { preemptions, filter } => recipes::loom(runner, *preemptions, filter),
        Recipe::Sim { times, long, seed } => {
            recipes::sim(runner, LONG * if *long { LONG } else { *times }, *seed)
        }
        Recipe::Mutants { touched: true } => seeded::touched(runner),
        Recipe::Mutants { touched: false } => seeded::all(runner),
        Recipe::CargoMutants { shard, resume } => {
            verify::cargo_mutants(runner, shard.as_deref(), *resume)
        }
        Recipe::Fuzz(args) => fuzzing::fuzz(runner, args),
        Recipe::Soak(args) => soak::soak(runner, args),
        Recipe::Coverage => instrumented::coverage(runner),
        Recipe::Instructions(args) => instructions::instructions(runner, args),
        Recipe::CompareBuilds(args) => compare_builds::compare_builds(runner, args),
        Recipe::Pages => recipes::pages(runner),
        Recipe::Book => book::book(runner),
        Recipe::Tsan { whole } => instrumented::tsan(runner, *whole),
        Recipe::Nightly => nightly(runner),
        Recipe::Deny => recipes::deny(runner),
        Recipe::Licences => licences::licences(runner),
        Recipe::Contracts => recipes::contracts(runner),
        Recipe::Api { write } => api::api(runner, *write),
        Recipe::Package => package::package(runner),
        Recipe::Python { spark } => python::python(runner, *spark),
        Recipe::Container { profile, run } => container::container(runner, profile, *run),
        Recipe::Spec { cases, first } => spec::spec(runner, *cases, *first),
        Recipe::Anvil { blocks } => anvil::anvil(runner, *blocks),
        Recipe::Report => report::report(runner),
        Recipe::Suites { whole } => {
            suites::suites(runner, if *whole { Size::Whole } else { Size::Ci })
        }
        Recipe::Chain(args) => chain::chain(runner, args),
        Recipe::Stores => recipes::stores(runner),
        Recipe::Scale { here } => scale::scale(runner, *here),
        Recipe::Newcomer { write } => newcomer::newcomer(runner, *write),
    }
}

/// A part of a recipe.
type Part = fn(&mut Runner) -> Result<(), Failed>;

/// The CI, in order: what is cheap comes first. Slow checks that rarely fail run in `nightly` only, and so do
/// the full forms of sampled checks.
const CI: [Part; 22] = [
    |it| recipes::fmt(it, false),
    // Advisories change from day to day; a change of the project must not fail for them.
    licences::licences,
    recipes::clippy,
    recipes::msrv,
    |it| recipes::features(it, false),
    recipes::doc,
    |it| recipes::loom(it, None, "loom"),
    recipes::test,
    recipes::own_tests,
    suites::lab,
    python::check,
    recipes::examples,
    verify::engine,
    seeded::touched,
    |it| verify::models(it, Blocks::Sample),
    |it| instructions::instructions(it, &InstructionsArgs::default()),
    recipes::demo,
    |it| recipes::blocks(it, false),
    |it| suites::suites(it, Size::Sample),
    |it| spec::spec(it, 30, 0),
    |it| anvil::anvil(it, 2),
    fuzzing::replay,
];

fn ci(runner: &mut Runner) -> Result<(), Failed> {
    CI.iter().try_for_each(|part| part(runner))
}

/// The CI, and every check in its whole form. Goes on after what fails.
fn nightly(runner: &mut Runner) -> Result<(), Failed> {
    CI.iter().for_each(|part| runner.part(part));
    runner.part(recipes::contracts);
    runner.part(|it| api::api(it, false));
    runner.part(book::book);
    runner.part(report::report);
    runner.part(|it| container::container(it, "release", true));
    runner.part(|it| recipes::features(it, true));
    runner.part(|it| verify::models(it, Blocks::Four));
    runner.part(|it| verify::trace(it, LONG));
    runner.part(|it| recipes::loom(it, Some(3), "loom"));
    runner.part(|it| recipes::sim(it, LONG * LONG, None));
    runner.part(seeded::all);
    runner.part(|it| recipes::blocks(it, true));
    runner.part(|it| spec::spec(it, 500, 1_000));
    runner.part(|it| anvil::anvil(it, 60));
    runner.part(|it| suites::suites(it, Size::Whole));
    runner.part(|it| chain::chain(it, &chain::NIGHTLY));
    runner.part(recipes::stores);
    runner.part(package::package);
    // Each extra of the package alone, with the newest versions that it allows.
    runner.part(|it| python::python(it, false));
    runner.part(|it| python::python(it, true));
    runner.part(|it| instrumented::tsan(it, true));
    runner.part(instrumented::coverage);
    let long = FuzzArgs { blocks: Some(10_000), seconds: 1_800, ..FuzzArgs::default() };
    runner.part(|it| fuzzing::fuzz(it, &long));
    runner.part(|it| verify::cargo_mutants(it, None, false));
    runner.part(|it| newcomer::newcomer(it, false));
    runner.parts()
}
