//! Why there is no result.

use std::fmt;

/// Kinds of failures with the exit codes that geth's `evm t8n` has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The execution could not be brought to its end.
    Evm = 2,
    /// The fork is unknown, or the environment lacks what it needs.
    Config = 3,
    /// `BLOCKHASH` asked for a block whose hash was not given.
    MissingBlockHash = 4,
    /// An input is no JSON, or not of the form it must have.
    Json = 10,
    /// A file could not be read or written.
    Io = 11,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What went wrong.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn json(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Json, message)
    }

    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Config, message)
    }

    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.kind as u8
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERROR({}): {}", self.code(), self.message)
    }
}
