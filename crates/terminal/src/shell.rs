//! Shell completions and the manual page of a tool.

use crate::{End, Stop};
use clap::{Args, Command};
use clap_complete::Shell;
use std::io::{self, Write};

/// Print completions for a shell
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes completions for `tool` to standard output.
///
/// # Errors
/// The output returned an error.
pub fn completions(mut tool: Command, args: &CompletionsArgs) -> Result<End, Stop> {
    let name = tool.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut tool, name, &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(End::Right)
}

/// Writes the manual page to standard output: the page of `tool`, then a section for each command.
///
/// # Errors
/// The output returned an error.
pub fn man(mut tool: Command) -> Result<End, Stop> {
    tool.build();
    let title = tool.get_name().to_uppercase();
    let mut page = Vec::new();
    clap_mangen::Man::new(tool.clone()).render(&mut page)?;
    for sub in tool.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = sub.get_name().to_uppercase();
        let man = clap_mangen::Man::new(sub.clone());
        writeln!(page, ".SH {title} {name}")?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    io::stdout().lock().write_all(&page)?;
    Ok(End::Right)
}
