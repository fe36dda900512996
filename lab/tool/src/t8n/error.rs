//! Failures of a transition.

use std::fmt;

/// Kinds of failures, with the exit codes of geth's `evm t8n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The execution failed.
    Evm = 2,
    /// The fork is unknown, or the environment lacks required values.
    Config = 3,
    /// `BLOCKHASH` of a block whose hash was not given.
    MissingBlockHash = 4,
    /// An input is not JSON, or has the wrong form.
    Json = 10,
    /// A file could not be read or written.
    Io = 11,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// Kind of the failure.
    pub kind: FailureKind,
    /// Description of the failure.
    pub message: String,
}

impl Failure {
    /// Creates a failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn json(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Json, message)
    }

    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Config, message)
    }

    /// Returns the exit code.
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
