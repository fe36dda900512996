//! The commands of the `braid` tool.
//!
//! Every command ends with one of three codes: 0 if all was right, 1 if something did not come out
//! as it must (a difference from sequential execution or from a header), 2 if an input could not be
//! used (a bad file, an invalid block, a wrong option). 1 outranks 2. A command that the user has
//! interrupted ends with 130, as shells report it. `t8n` has geth's codes.

mod bench;
mod chain;
mod compare;
mod explain;
mod fetch;
mod generate;
mod human;
mod inputs;
mod json;
mod lint;
mod lists;
mod measure;
mod names;
mod page;
mod progress;
mod report;
mod run;
mod shards;
mod shell;
mod sim;
mod suites;
mod survey;
mod t8n;
mod top;
mod trace;
mod wrapped;

use crate::{bench::Latency, t8n::Failure};
use clap::{Parser, Subcommand};
use std::{
    ffi::OsString,
    fmt,
    io::{self, IsTerminal, Write},
    num::NonZeroU16,
    process::ExitCode,
    time::Duration,
};

/// Executes Ethereum blocks on many cores and returns exactly what sequential execution returns.
#[derive(Debug, Parser)]
#[command(name = "braid", version, arg_required_else_help = true, max_term_width = wrapped::COLUMNS)]
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
    Chain(chain::ChainArgs),
    Top(top::TopArgs),
    Gen(generate::GenerateArgs),
    Fetch(fetch::FetchArgs),
    Bench(bench::BenchArgs),
    Sim(sim::SimArgs),
    Shards(shards::ShardsArgs),
    #[command(visible_alias = "stest")]
    Statetest(suites::StateTestArgs),
    #[command(visible_aliases = ["btest", "blockchaintest"])]
    Blocktest(suites::BlockTestArgs),
    T8n(Box<t8n::T8nArgs>),
    Completions(shell::CompletionsArgs),
    /// Print the manual page, in roff: braid man > braid.1
    Man,
}

/// What `braid` without arguments shows on a terminal.
const TRY: &str = "\
Executes Ethereum blocks on many cores and compares the result with sequential execution. Try:

  braid run        a generated chain, both ways, compared
  braid explain    why a block does not run in parallel
  braid report     the same as a page: report.html

All commands: braid --help
";

/// How a command ended; the greater, the more it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// All was right.
    #[default]
    Right,
    /// The user has interrupted the command, which has kept what it had done.
    Interrupted,
    /// An input could not be used.
    BadInput,
    /// Something did not come out as it must.
    Mismatch,
}

/// Exit code of an interrupted command: 128 and the number of the signal that Ctrl-C sends.
const INTERRUPTED: u8 = 130;

impl End {
    fn code(self) -> u8 {
        match self {
            Self::Right => 0,
            Self::Interrupted => INTERRUPTED,
            Self::Mismatch => 1,
            Self::BadInput => 2,
        }
    }
}

/// Runs the tool with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(main_of(std::env::args_os().collect()))
}

/// Runs the tool with `arguments`, which begin with the name that its help shows, and returns the exit code.
#[must_use]
pub fn main_of(arguments: Vec<OsString>) -> u8 {
    let given = arguments.get(1..).unwrap_or_default();
    if given == ["-v"] {
        // How tools that drive geth's `evm` find out what they have before them.
        println!("evm version {} (braid)", env!("CARGO_PKG_VERSION"));
        return End::Right.code();
    }
    if given.is_empty() && io::stderr().is_terminal() {
        let _ = anstream::stderr().lock().write_all(TRY.as_bytes());
        return End::BadInput.code();
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Its reader may be gone; the exit code still tells.
            let _ = error.print();
            return if error.use_stderr() { End::BadInput.code() } else { End::Right.code() };
        }
    };
    let ended = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Report(args) => page::report(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Survey(args) => survey::survey(&args),
        Command::Trace(args) => trace::trace(&args),
        Command::Lint(args) => lint::lint(&args),
        Command::Chain(args) => chain::chain(&args),
        Command::Top(args) => top::top(&args),
        Command::Gen(args) => generate::generate(&args),
        Command::Fetch(args) => fetch::fetch(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Sim(args) => sim::simulate(&args),
        Command::Shards(args) => shards::shards(&args),
        Command::Statetest(args) => suites::statetest(&args),
        Command::Blocktest(args) => suites::blocktest(&args),
        Command::T8n(args) => t8n::t8n(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man => shell::man(),
    };
    // A caller that is no Rust program does not do so at its end.
    let ended = ended.and_then(|end| Ok(io::stdout().flush().map(|()| end)?));
    match ended {
        Ok(end) => end.code(),
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            // The reader had enough, as `head` has; that is no failure of ours.
            End::Right.code()
        }
        Err(Stop::Transition(failure)) => {
            print_error(&failure);
            failure.code()
        }
        Err(stop) => {
            print_error(&stop);
            End::BadInput.code()
        }
    }
}

/// A number of workers, as an option gives it.
fn workers_from(text: &str) -> Result<NonZeroU16, &'static str> {
    text.parse().map_err(|_| "expected a number from 1 to 65535")
}

/// Reads a pause: a time with its unit, or 0.
fn pause_from(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { text.parse().map(|Latency(time)| time) }
}

/// Why a command could not go on.
#[derive(Debug)]
enum Stop {
    /// The output takes no more.
    Output(io::Error),
    /// Anything that the user can do something about.
    Message(String),
    /// A transition, whose exit codes are geth's.
    Transition(Failure),
}

impl Stop {
    /// An executor got no threads.
    fn threads(workers: NonZeroU16, error: &io::Error) -> Self {
        Self::Message(format!(
            "cannot start {workers} workers: {error}; raise the limit of threads: ulimit -u"
        ))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
            Self::Message(message) => f.write_str(message),
            Self::Transition(failure) => failure.fmt(f),
        }
    }
}

/// Writes an error to the standard error stream, in colour if that is a terminal.
fn print_error(message: &dyn fmt::Display) {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    // If the standard error stream is closed there is nowhere left to say so.
    let _ = writeln!(anstream::stderr().lock(), "{red}error:{red:#} {message}");
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
