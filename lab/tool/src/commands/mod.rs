//! The commands of the `braid-lab` tool.
//!
//! `t8n` uses geth's exit codes, every other command those of [`braid_terminal::End`].

mod bench;
mod shards;
mod sim;
mod suites;
mod t8n;

use braid_terminal::{COLUMNS, CompletionsArgs, completions, exit_code, man, parse};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Tests Braid's execution: with the official suites, as a transition tool, on simulated workers
/// and on simulated shards.
#[derive(Debug, Parser)]
#[command(name = "braid-lab", version, arg_required_else_help = true, max_term_width = COLUMNS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(visible_alias = "stest")]
    Statetest(suites::StateTestArgs),
    #[command(visible_aliases = ["btest", "blockchaintest"])]
    Blocktest(suites::BlockTestArgs),
    T8n(Box<t8n::T8nArgs>),
    Sim(sim::SimArgs),
    Shards(shards::ShardsArgs),
    Bench(Box<bench::LabBenchArgs>),
    Completions(CompletionsArgs),
    /// Print the manual page, in roff: braid-lab man > braid-lab.1
    Man,
}

/// Runs the tool with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1..).is_some_and(|given| given == ["-v"]) {
        // Programs that drive geth's `evm` ask for its version this way.
        println!("evm version {} (braid)", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let cli: Cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(code) => return code.into(),
    };
    let ended = match cli.command {
        Command::Statetest(args) => suites::statetest(&args),
        Command::Blocktest(args) => suites::blocktest(&args),
        Command::T8n(args) => t8n::t8n(&args),
        Command::Sim(args) => sim::simulate(&args),
        Command::Shards(args) => shards::shards(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Completions(args) => completions(Cli::command(), &args),
        Command::Man => man(Cli::command()),
    };
    exit_code(ended).into()
}
