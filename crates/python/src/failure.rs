//! Why there is no result, as a Python exception.

use crate::state::Missing;
use braid_blocks::{
    block_file::{BlockFileError, BlockFileErrorKind, FieldError},
    sequential::{Position, SequentialError, SequentialErrorKind},
};
use braid_evm::{BlockError, BlockErrorKind, BlockPosition};
use pyo3::{PyErr, import_exception};
use std::any::Any;

import_exception!(braid_evm.errors, BraidError);
import_exception!(braid_evm.errors, InvalidBlock);
import_exception!(braid_evm.errors, StateUnavailable);
import_exception!(braid_evm.errors, UnreadableBlock);

/// Where a failure belongs to a block: its number and how many transactions it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Which {
    pub(crate) number: u64,
    pub(crate) transactions: usize,
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input is no block file that can be used.
    Unreadable { file: String, reason: String, field: Option<String>, transaction: Option<usize> },
    /// The block breaks a rule.
    Invalid { file: String, reason: String, transaction: Option<usize>, which: Which },
    /// The file lacks state that the block reads.
    Unavailable { file: String, missing: Missing, transaction: Option<usize> },
    /// A fault of Braid, or of the system.
    Internal(String),
}

impl From<BlockFileError> for Failure {
    fn from(error: BlockFileError) -> Self {
        Self::Unreadable {
            reason: error.kind.to_string(),
            field: error.field().map(str::to_owned),
            transaction: error.transaction(),
            file: error.file,
        }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreadable { file, reason, field, transaction } => {
                UnreadableBlock::new_err((reason, file, field, transaction))
            }
            Failure::Invalid { file, reason, transaction, which } => {
                InvalidBlock::new_err((reason, file, transaction, which.number, which.transactions))
            }
            Failure::Unavailable { file, missing, transaction } => {
                StateUnavailable::new_err((missing.to_string(), file, transaction))
            }
            Failure::Internal(reason) => BraidError::new_err((reason, String::new())),
        }
    }
}

impl Failure {
    /// A panic, as an error: one block must not end a program that works through many.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref().copied()).unwrap_or("no message");
        Self::Internal(format!(
            "a panic: {text}; this is a fault of Braid: report it with the block"
        ))
    }

    /// A field of `file` that no execution can use.
    pub(crate) fn field(file: &str, error: FieldError) -> Self {
        BlockFileError::new(file, BlockFileErrorKind::Field(error)).into()
    }

    /// Why the executor gave no result.
    pub(crate) fn parallel(file: &str, which: Which, error: BlockError<Missing>) -> Self {
        let transaction = match error.at {
            BlockPosition::Transaction(index) => Some(index.position()),
            BlockPosition::PreBlock | BlockPosition::PostBlock => None,
        };
        let (file, reason) = (file.to_owned(), error.to_string());
        match error.kind {
            BlockErrorKind::Base(missing) => Self::Unavailable { file, missing, transaction },
            BlockErrorKind::Internal(_) | BlockErrorKind::Cancelled => Self::Internal(format!(
                "{file}: {reason}; this is a fault of Braid: report it with the block"
            )),
            _ => Self::Invalid { file, reason, transaction, which },
        }
    }

    /// Why sequential execution gave no result.
    pub(crate) fn sequential(file: &str, which: Which, error: &SequentialError<Missing>) -> Self {
        let transaction = match error.at {
            Position::Transaction(index) => Some(index),
            Position::PreBlock | Position::PostBlock => None,
        };
        let file = file.to_owned();
        match &error.kind {
            SequentialErrorKind::Base(missing) => {
                Self::Unavailable { file, missing: *missing, transaction }
            }
            _ => Self::Invalid { file, reason: error.to_string(), transaction, which },
        }
    }
}
