//! How a command ends.
//!
//! Every command ends with one of three codes: 0 if all was right, 1 if something did not come out
//! as it must (a difference from sequential execution or from a header), 2 if an input could not be
//! used (a bad file, an invalid block, a wrong option). 1 outranks 2. A command that the user has
//! interrupted ends with 130, as shells report it. Commands that stand in for another tool have that
//! tool's codes.

use clap::Parser;
use std::{
    ffi::OsString,
    fmt,
    io::{self, Write},
    num::NonZeroU16,
};

/// How a command ended; the greater, the more it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
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
pub const INTERRUPTED: u8 = 130;

impl End {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Right => 0,
            Self::Interrupted => INTERRUPTED,
            Self::Mismatch => 1,
            Self::BadInput => 2,
        }
    }
}

/// Why a command could not go on.
#[derive(Debug)]
pub enum Stop {
    /// The output takes no more.
    Output(io::Error),
    /// Anything that the user can do something about.
    Message(String),
    /// The same, in a command that has the exit codes of another tool.
    WithCode {
        /// What the user is told.
        message: String,
        /// The exit code.
        code: u8,
    },
}

impl Stop {
    /// An executor got no threads.
    #[must_use]
    pub fn threads(workers: NonZeroU16, error: &io::Error) -> Self {
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
            Self::Message(message) | Self::WithCode { message, .. } => f.write_str(message),
        }
    }
}

/// Stops with an error that the user can do something about.
pub fn message(error: impl fmt::Display) -> Stop {
    Stop::Message(error.to_string())
}

/// Reads the arguments of a tool, which begin with the name that its help shows.
///
/// # Errors
/// There is no command to run: help was asked for, or an argument is wrong. What there is to say is said; the exit code is
/// left.
pub fn parse<C: Parser>(arguments: Vec<OsString>) -> Result<C, u8> {
    C::try_parse_from(arguments).map_err(|error| {
        // Its reader may be gone; the exit code still tells.
        let _ = error.print();
        let end = if error.use_stderr() { End::BadInput } else { End::Right };
        end.code()
    })
}

/// The exit code of a command that has ended, after its output is written out and its error is said.
#[must_use]
pub fn exit_code(ended: Result<End, Stop>) -> u8 {
    // A caller that is no Rust program does not do so at its end.
    let ended = ended.and_then(|end| Ok(io::stdout().flush().map(|()| end)?));
    match ended {
        Ok(end) => end.code(),
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            // The reader had enough, as `head` has; that is no failure of ours.
            End::Right.code()
        }
        Err(stop) => {
            print_error(&stop);
            match stop {
                Stop::WithCode { code, .. } => code,
                Stop::Output(_) | Stop::Message(_) => End::BadInput.code(),
            }
        }
    }
}

/// Writes an error to the standard error stream, in colour if that is a terminal.
pub fn print_error(message: &dyn fmt::Display) {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    // If the standard error stream is closed there is nowhere left to say so.
    let _ = writeln!(anstream::stderr().lock(), "{red}error:{red:#} {message}");
}
