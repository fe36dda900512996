//! The commands of the `braid` tool. Their exit codes are those of [`End`].

pub mod bench;
mod compare;
mod explain;
mod fetch;
mod generate;
mod human;
mod json;
mod lint;
mod lists;
mod names;
mod page;
mod report;
mod run;
mod survey;
mod trace;

use braid_terminal::{COLUMNS, CompletionsArgs, End, completions, exit_code, man, parse};
use clap::{CommandFactory, Parser, Subcommand};
use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

/// Executes Ethereum blocks on many cores and returns exactly what sequential execution returns.
#[derive(Debug, Parser)]
#[command(name = "braid", version, arg_required_else_help = true, max_term_width = COLUMNS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Explain(explain::ExplainArgs),
    Report(page::ReportArgs),
    Compare(compare::CompareArgs),
    Survey(survey::SurveyArgs),
    Trace(trace::TraceArgs),
    Lint(lint::LintArgs),
    Gen(generate::GenerateArgs),
    Fetch(fetch::FetchArgs),
    Bench(bench::BenchArgs),
    Completions(CompletionsArgs),
    /// Print the manual page, in roff: braid man > braid.1
    Man,
}

/// Printed by `braid` without arguments on a terminal.
const TRY: &str = "\
Executes Ethereum blocks on many cores and compares the result with sequential execution. Try:

  braid run        a generated chain, both ways, compared
  braid explain    why a block does not run in parallel
  braid report     the same as a page: report.html

All commands: braid --help
";

/// Runs the tool with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(main_of(std::env::args_os().collect()))
}

/// Runs the tool with `arguments`, the first of which is the program name in its help, and returns
/// the exit code.
#[must_use]
pub fn main_of(arguments: Vec<OsString>) -> u8 {
    let given = arguments.get(1..).unwrap_or_default();
    if given.is_empty() && io::stderr().is_terminal() {
        let _ = anstream::stderr().lock().write_all(TRY.as_bytes());
        return End::BadInput.code();
    }
    let cli: Cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let ended = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Explain(args) => compare::CompareArgs::of_explain(&args).and_then(|sides| {
            sides.map_or_else(|| explain::explain(&args), |sides| compare::compare(&sides))
        }),
        Command::Report(args) => page::report(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Survey(args) => survey::survey(&args),
        Command::Trace(args) => trace::trace(&args),
        Command::Lint(args) => lint::lint(&args),
        Command::Gen(args) => generate::generate(&args),
        Command::Fetch(args) => fetch::fetch(&args),
        Command::Bench(args) => bench::bench(&args, None),
        Command::Completions(args) => completions(Cli::command(), &args),
        Command::Man => man(Cli::command()),
    };
    exit_code(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_to_try_exist() {
        let lines = TRY.lines().filter_map(|line| line.strip_prefix("  braid "));
        let commands: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(commands.len(), 3);
        for command in commands {
            let parsed = Cli::try_parse_from(["braid", command]);
            assert!(parsed.is_ok(), "{command}: {parsed:?}");
        }
        assert!(TRY.lines().all(|line| line.len() <= 100));
    }
}
