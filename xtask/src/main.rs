//! The project's recipes: `cargo xtask --help`. The CI runs `cargo xtask ci` and nothing else.

mod anvil;
mod api;
mod book;
mod chain;
mod change;
mod compare_builds;
mod container;
mod coverage;
mod dependencies;
mod embedder;
mod figures;
mod fuzzing;
mod install;
mod instructions;
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
mod teeth;
mod tsan;
mod turns;
mod verify;
mod workspace;

use chain::ChainArgs;
use clap::{Parser, Subcommand, ValueEnum};
use compare_builds::CompareArgs;
use fuzzing::{FuzzArgs, Sanitizer};
use instructions::InstructionsArgs;
use runner::{Failed, Runner};
use soak::SoakArgs;
use std::process::ExitCode;
use suites::Size;
use verify::Blocks;

/// Run the project's checks, builds and measurements
///
/// Each step prints its command, its duration and its outcome. The first failure ends the recipe
/// with exit code 1.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    recipe: Recipe,
}

#[derive(Debug, Subcommand)]
enum Recipe {
    /// Run the pre-commit checks, in about two minutes: formatting, lints, source rules, engine
    /// tests, and samples of random and real blocks in all strategies
    Quick,
    /// Run everything that the CI runs, in the same order
    Ci {
        /// Run only this job
        job: Option<Job>,
    },
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
    /// Build every combination of features, and check that the engine does not depend on revm, that
    /// no tool contains seeded bugs, and that `braid` has no dependency that only nodes need
    Features,
    /// Build a project that adds the library without a C compiler, and compare its precompiles with
    /// those in C
    Embedder,
    /// Check that this toolchain is the minimum supported one and that nothing needs a newer one
    Msrv,
    /// Run every example
    Examples,
    /// Run the README's first command: the built-in demo chain
    Demo,
    /// Execute all real blocks, and compare with sequential execution and the block headers
    Blocks {
        /// Use 1, 2, 3 and 8 workers in every strategy
        #[arg(long)]
        whole: bool,
    },
    /// Explore every order of events of small blocks with the shipped protocol
    Models {
        /// Include blocks of four transactions
        #[arg(long)]
        long: bool,
    },
    /// Explore every schedule of small scenarios with the shipped store, coordinator and workers
    Loom {
        /// Preemptions per schedule, for scenarios that set fewer
        #[arg(long)]
        preemptions: Option<u32>,
        /// Run only scenarios whose names contain this
        #[arg(default_value = "loom")]
        filter: String,
    },
    /// Run random blocks under random schedules in the simulated runtime
    Sim {
        /// Multiply the number of schedules by this
        #[arg(long, default_value_t = 1)]
        times: u32,
        /// Multiply the number of schedules by ten
        #[arg(long, conflicts_with = "times")]
        long: bool,
        /// Replay only this seed, on the toy machines (`braid-lab sim` replays seeds of the EVM)
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Step through small blocks in the browser with stateright's explorer
    Explore,
    /// Replay traces of simulated and threaded blocks against a reference store
    Trace {
        /// Multiply the number of blocks by this
        #[arg(long, default_value_t = 1)]
        times: u32,
    },
    /// Check that every seeded bug is caught
    Mutants {
        /// Try only bugs whose code has changed, as the CI does
        #[arg(long)]
        touched: bool,
    },
    /// Run cargo-mutants over the protocol and the store
    CargoMutants {
        /// Run one shard, for example 1/8
        #[arg(long)]
        shard: Option<String>,
        /// Skip mutants that an earlier run has caught
        #[arg(long, conflicts_with = "shard")]
        resume: bool,
    },
    /// Run random hostile blocks against sequential revm, replay the fuzzer's inputs, and fuzz,
    /// by default under AddressSanitizer; with --coverage, show what the inputs reach instead
    Fuzz(FuzzArgs),
    /// Fuzz all targets in turn, until interrupted or for a number of minutes, and turn failures
    /// into regression tests; with --node, feed the transaction pool of a node instead
    Soak(SoakArgs),
    /// Count the instructions of sequential revm and of Braid with one worker on real and generated
    /// blocks, and compare the ratios with the record
    Instructions(InstructionsArgs),
    /// Build a revision and the working tree, measure both on the shared real blocks in
    /// alternation, and fail if the working tree is significantly slower
    CompareBuilds(CompareArgs),
    /// Build the pages into a book, target/book/html, and check its links; installs mdbook if it is
    /// missing
    Book,
    /// Write the tables of docs/data and of the source into the pages
    Pages,
    /// Run the threaded tests under ThreadSanitizer
    Tsan {
        /// Include blocks with the EVM
        #[arg(long)]
        whole: bool,
    },
    /// Run everything that the CI runs, and checks that take hours
    Nightly,
    /// Check licenses, sources and known vulnerabilities of the dependencies; installs cargo-deny if
    /// it is missing
    Deny,
    /// Write a CycloneDX bill of materials of each shipped tool into target/bill; installs
    /// cargo-cyclonedx if it is missing
    Bill,
    /// Rebuild the contracts of the generated workloads and compare the artifacts (needs npm)
    Contracts,
    /// Compare the interfaces of braid-evm, braid-chain and braid-node with docs/API.txt,
    /// crates/chain/API.txt and crates/node/API.txt, and check the crates of their types and the
    /// changes since the last release
    Api {
        /// Write the lists instead of comparing them
        #[arg(long)]
        write: bool,
    },
    /// Package the libraries and tools as for crates.io, and build the packages
    Package,
    /// Build the Python wheel from a clean tree, install it into a fresh environment, and test it
    /// there (needs python3 with venv)
    Python {
        /// Include Spark jobs: installs PySpark (needs Java)
        #[arg(long)]
        spark: bool,
    },
    /// Build an image of the node for podman, docker and Kubernetes, and lint its manifests (needs
    /// python3 with venv)
    Container {
        /// Cargo profile of the tool
        #[arg(long, default_value = "dist")]
        profile: String,
        /// Also run the image as its manifest does
        #[arg(long)]
        run: bool,
    },
    /// Compare braid-lab t8n with the executable specification from PyPI on random blocks (needs
    /// python3)
    Spec {
        /// Number of blocks of Berlin and later forks; a sixth as many of older forks are added
        #[arg(long, default_value_t = 60)]
        cases: u64,
        /// Seed of the first block
        #[arg(long, default_value_t = 0)]
        first: u64,
    },
    /// Record blocks that a real node mines locally, execute them, and compare with its receipts
    /// (needs npm)
    Anvil {
        /// Random blocks for each fork
        #[arg(long, default_value_t = 4)]
        blocks: u32,
    },
    /// Generate the pages of `braid report` and `braid survey`, and test them in headless Chromium:
    /// hover, search, sort, zoom, dark mode, print, 360 pixels wide (needs npm and chromium)
    Report {
        /// Draw the pictures in docs/images instead
        #[arg(long)]
        pictures: bool,
    },
    /// Run each test of the official suites once, with an optimised `braid-lab`
    Suites {
        /// Run all tests, on several numbers of workers
        #[arg(long)]
        whole: bool,
    },
    /// Execute chains of random blocks with failing databases, disks and writers, processes killed
    /// while they write, and flipped bits in folders
    Chain(ChainArgs),
    /// Lint and test `braid bench` on embedded stores, including RocksDB, which takes minutes to
    /// build (needs a C++ compiler and libclang)
    Stores,
    /// Measure the tables of docs/BENCHMARKS.md on an idle machine, about an hour in all; what is
    /// there already is kept
    Figures(figures::FiguresArgs),
    /// Pack the tool with a script that measures it on 1 to all cores of another machine, which
    /// needs only a shell
    Scale {
        /// Also run it on this machine
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

/// Multiplier of the number of simulated schedules in recipes that may take long. The tests
/// themselves run a tenth.
const LONG: u32 = 10;

fn main() -> ExitCode {
    let Cli { recipe } = Cli::parse();
    let mut runner = Runner::new(workspace::root());
    if matches!(recipe, Recipe::Ci { .. }) {
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
        Recipe::Ci { job } => ci(runner, *job),
        Recipe::Fmt { apply } => recipes::fmt(runner, *apply),
        Recipe::Clippy => recipes::clippy(runner),
        Recipe::Test => recipes::test(runner),
        Recipe::Doc => recipes::doc(runner),
        Recipe::Features => recipes::features(runner, true),
        Recipe::Embedder => embedder::embedder(runner),
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
        Recipe::Fuzz(args) if args.coverage => coverage::coverage(runner, args.target.as_deref()),
        Recipe::Fuzz(args) if args.teeth => {
            teeth::teeth(runner, args.sanitizer, args.target.as_deref(), args.seconds)
        }
        Recipe::Fuzz(args) => fuzzing::fuzz(runner, args),
        Recipe::Soak(args) => soak::soak(runner, args),
        Recipe::Instructions(args) => instructions::instructions(runner, args),
        Recipe::CompareBuilds(args) => compare_builds::compare_builds(runner, args),
        Recipe::Pages => recipes::pages(runner),
        Recipe::Book => book::book(runner),
        Recipe::Tsan { whole } => tsan::tsan(runner, *whole),
        Recipe::Nightly => nightly(runner),
        Recipe::Deny => {
            dependencies::deny(runner)?;
            dependencies::advisories(runner)
        }
        Recipe::Bill => dependencies::bill(runner),
        Recipe::Contracts => recipes::contracts(runner),
        Recipe::Api { write } => api::api(runner, *write),
        Recipe::Package => package::package(runner),
        Recipe::Python { spark } => python::python(runner, *spark),
        Recipe::Container { profile, run } => container::container(runner, profile, *run),
        Recipe::Spec { cases, first } => spec::spec(runner, *cases, *first),
        Recipe::Anvil { blocks } => anvil::anvil(runner, *blocks),
        Recipe::Report { pictures } => report::report(runner, *pictures),
        Recipe::Suites { whole } => {
            suites::suites(runner, if *whole { Size::Whole } else { Size::Ci })
        }
        Recipe::Chain(args) => chain::chain(runner, args),
        Recipe::Stores => recipes::stores(runner),
        Recipe::Figures(args) => figures::figures(runner, args),
        Recipe::Scale { here } => scale::scale(runner, *here),
        Recipe::Newcomer { write } => newcomer::newcomer(runner, *write),
    }
}

/// A part of a recipe.
type Part = fn(&mut Runner) -> Result<(), Failed>;

/// A job of the CI. The jobs are independent, and may run on machines of their own.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Job {
    /// Formatting, lints, features, documentation
    Lint,
    /// The README's tests and commands, examples, tests of the recipes and of the laboratory
    Tests,
    /// Loom, models, traces and seeded bugs
    Models,
    /// Real blocks, official suites, other implementations, instruction counts, fuzz inputs
    Blocks,
}

impl Job {
    /// The parts, the cheapest first. Slow checks that rarely fail run only in `nightly`, and so do
    /// the full forms of sampled checks.
    fn parts(self) -> &'static [Part] {
        match self {
            Self::Lint => &[
                |it| recipes::fmt(it, false),
                recipes::oldest_toolchain,
                recipes::clippy,
                |it| recipes::features(it, false),
                recipes::doc,
                python::check,
            ],
            Self::Tests => {
                &[recipes::test, recipes::own_tests, suites::lab, recipes::examples, recipes::demo]
            }
            Self::Models => &[
                |it| recipes::loom(it, None, "loom"),
                verify::engine,
                seeded::touched,
                |it| verify::models(it, Blocks::Sample),
            ],
            Self::Blocks => &[
                |it| instructions::instructions(it, &InstructionsArgs::default()),
                |it| recipes::blocks(it, false),
                |it| suites::suites(it, Size::Sample),
                |it| spec::spec(it, 30, 0),
                |it| anvil::anvil(it, 2),
                fuzzing::replay,
                fuzzing::touched,
            ],
        }
    }
}

/// Returns the parts of one job, or of all.
fn parts(job: Option<Job>) -> impl Iterator<Item = &'static Part> {
    let jobs = Job::value_variants().iter().copied();
    jobs.filter(move |it| job.is_none_or(|job| *it as u8 == job as u8)).flat_map(|it| it.parts())
}

fn ci(runner: &mut Runner, job: Option<Job>) -> Result<(), Failed> {
    parts(job).try_for_each(|part| part(runner))
}

/// Runs the CI and the full form of every check, and continues after failures.
fn nightly(runner: &mut Runner) -> Result<(), Failed> {
    parts(None).for_each(|part| runner.part(part));
    runner.part(embedder::embedder);
    runner.part(dependencies::deny);
    runner.part(dependencies::advisories);
    runner.part(dependencies::bill);
    runner.part(recipes::contracts);
    runner.part(|it| api::api(it, false));
    runner.part(book::book);
    runner.part(|it| report::report(it, false));
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
    runner.part(|it| tsan::tsan(it, true));
    runner.part(|it| coverage::coverage(it, None));
    // An hour in total on two cores.
    let long = FuzzArgs { blocks: Some(10_000), seconds: 300, ..FuzzArgs::default() };
    runner.part(|it| fuzzing::fuzz(it, &long));
    runner.part(|it| fuzzing::look(it, Sanitizer::Thread, None, 480));
    runner.part(|it| verify::cargo_mutants(it, None, false));
    runner.part(|it| newcomer::newcomer(it, false));
    runner.parts()
}
