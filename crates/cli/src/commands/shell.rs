//! `braid completions` and `braid man`: what a shell and a manual want to know of the tool.

use super::{Cli, End, Stop};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::io::{self, Write};

/// Print completions for a shell
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes completions to standard output.
pub(super) fn completions(args: &CompletionsArgs) -> Result<End, Stop> {
    let mut command = Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "braid", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(End::Right)
}

/// Writes the manual page to standard output: the tool's, then one section for each command.
pub(super) fn man() -> Result<End, Stop> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = sub.get_name().to_uppercase();
        let man = clap_mangen::Man::new(sub.clone());
        writeln!(page, ".SH BRAID {name}")?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    io::stdout().lock().write_all(&page)?;
    Ok(End::Right)
}
