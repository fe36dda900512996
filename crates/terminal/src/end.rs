//! Results and exit codes of commands.
//!
//! Every command ends with one of three codes: 0 if all was right, 1 if a result differs from what
//! it must be (from sequential execution or from a header), 2 if an input could not be used (a bad
//! file, an invalid block, a wrong option). 1 outranks 2. A command that the user has interrupted
//! ends with 130, as shells report it. Commands that stand in for another tool have that tool's
//! codes.

use clap::Parser;
use std::{
    ffi::OsString,
    fmt,
    io::{self, Write},
    num::NonZeroU16,
};

/// Result of a command, in ascending order of severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// All was right.
    #[default]
    Right,
    /// The user interrupted the command, which kept its results so far.
    Interrupted,
    /// An input could not be used.
    BadInput,
    /// A result differs from what it must be.
    Mismatch,
}

/// Exit code of an interrupted command: 128 plus the number of the signal that Ctrl-C sends.
pub const INTERRUPTED: u8 = 130;

impl End {
    /// Returns the exit code.
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

/// Reason why a command could not continue.
#[derive(Debug)]
pub enum Stop {
    /// The output returned an error.
    Output(io::Error),
    /// An error with a message that tells the user what to do.
    Message(String),
    /// An error with a message, in a command with the exit codes of another tool.
    WithCode {
        /// Message for the user.
        message: String,
        /// The exit code.
        code: u8,
    },
}

impl Stop {
    /// Error for an executor whose threads could not be started.
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

/// Makes an error with a message that tells the user what to do.
pub fn message(error: impl fmt::Display) -> Stop {
    Stop::Message(error.to_string())
}

/// Parses the arguments of a tool. The first one is the name that its help shows.
///
/// # Errors
/// There is no command to run, because help was requested or an argument is wrong. The text is
/// already printed; the error is the exit code.
pub fn parse<C: Parser>(arguments: Vec<OsString>) -> Result<C, u8> {
    C::try_parse_from(arguments).map_err(|error| {
        // The reader of the output may be gone; the exit code still reports the result.
        let _ = error.print();
        let end = if error.use_stderr() { End::BadInput } else { End::Right };
        end.code()
    })
}

/// Returns the exit code of a command, after flushing its output and printing its error.
#[must_use]
pub fn exit_code(ended: Result<End, Stop>) -> u8 {
    // Explicit flush: a caller that is not a Rust program does not flush at its exit.
    let ended = ended.and_then(|end| Ok(io::stdout().flush().map(|()| end)?));
    match ended {
        Ok(end) => end.code(),
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            // The reader has read enough, like `head`; that is not a failure.
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

/// Prints an error to standard error, in colour if that is a terminal.
pub fn print_error(message: &dyn fmt::Display) {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    // If standard error is closed, there is nowhere to report that.
    let _ = writeln!(anstream::stderr().lock(), "{red}error:{red:#} {message}");
}
