//! Why a block, or one of its transactions, cannot be executed.

use super::output::BlockOutput;
use crate::error::Invariant;
use crate::evm::bal::mismatch::AccessListError;
use crate::evm::exec::base::DbError;
use crate::evm::exec::rejection::Rejection;
use crate::ids::TxIndex;
use crate::protocol::Halt;
use crate::worker::{NoResult, Stop};
use core::fmt;
use revm::database_interface::ErasedError;

/// Position in a block at which execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockPosition {
    /// Before the first transaction.
    PreBlock,
    /// In this transaction.
    Transaction(TxIndex),
    /// After the last transaction.
    PostBlock,
}

impl fmt::Display for BlockPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreBlock => f.write_str("before the first transaction"),
            Self::Transaction(tx) => write!(f, "transaction {tx}"),
            Self::PostBlock => f.write_str("after the last transaction"),
        }
    }
}

/// Why a block ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockErrorKind<E> {
    /// The state before the block could not be read.
    #[error("the database failed: {0}; once it can be read, execute the block again")]
    Base(E),
    /// The transaction is invalid.
    #[error("{0}{advice}", advice = advice(.0))]
    Invalid(Rejection),
    /// The block's access list (EIP-7928) differs from the execution, or is malformed.
    #[error("{0}; refuse the block")]
    AccessList(AccessListError),
    /// A system contract failed (EIP-2935, EIP-4788, EIP-7002, EIP-7251, EIP-8282), a request
    /// contract has no code, or a deposit log is malformed (EIP-6110).
    #[error("system call: {0}; refuse the block, or correct `Block` and `ChainRules`")]
    SystemCall(String),
    /// The caller cancelled the block.
    #[error("cancelled; `committed` has what was done, and the executor is ready")]
    Cancelled,
    /// A bug in Braid.
    #[error(
        "internal error: {0}; this is a bug in Braid: report it with the block, and execute the \
         block with `Policy::Sequential`"
    )]
    Internal(Invariant),
}

/// Advice for the caller if a transaction makes the block invalid.
fn advice(rejection: &Rejection) -> &'static str {
    match rejection {
        // These messages already contain advice, or come from the caller's code.
        Rejection::Header(_) | Rejection::AccessList(_) | Rejection::Custom(_) => "",
        Rejection::Invalid(_) | Rejection::BlockGas { .. } | Rejection::BlobGas { .. } => {
            "; refuse the block, or leave the transaction out with `BlockRequest::build`"
        }
    }
}

/// A block that ended early, with the result of its committed prefix, which stays valid.
#[derive(Debug)]
#[non_exhaustive]
pub struct BlockError<E> {
    /// Where sequential execution would have ended.
    pub at: BlockPosition,
    /// Why the block ended.
    pub kind: BlockErrorKind<E>,
    /// Result of the committed prefix.
    pub committed: Box<BlockOutput>,
}

impl<E: fmt::Display> fmt::Display for BlockError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.kind)
    }
}

impl<E: core::error::Error + 'static> core::error::Error for BlockError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.kind)
    }
}

impl BlockError<ErasedError> {
    /// Converts the error into the database's own error type.
    pub(crate) fn typed<E: core::error::Error + Send + Sync + 'static>(self) -> BlockError<E> {
        let Self { at, kind, committed } = self;
        BlockError { at, kind: kind.typed(), committed }
    }
}

impl BlockErrorKind<ErasedError> {
    fn typed<E: core::error::Error + Send + Sync + 'static>(self) -> BlockErrorKind<E> {
        match self {
            Self::Base(error) => match error.into_inner().downcast() {
                Ok(error) => BlockErrorKind::Base(*error),
                Err(_) => unreachable!("a block reads from one source"),
            },
            Self::Invalid(rejection) => BlockErrorKind::Invalid(rejection),
            Self::AccessList(wrong) => BlockErrorKind::AccessList(wrong),
            Self::SystemCall(message) => BlockErrorKind::SystemCall(message),
            Self::Cancelled => BlockErrorKind::Cancelled,
            Self::Internal(broken) => BlockErrorKind::Internal(broken),
        }
    }
}

/// Where and why the transactions ended early.
pub(in crate::evm) type Cause<S> = (BlockPosition, BlockErrorKind<DbError<S>>);

/// Returns the error of a block of `all` transactions that was cancelled when everything below
/// `frontier` was committed.
pub(in crate::evm) fn cancelled<E>(
    frontier: TxIndex,
    all: usize,
) -> (BlockPosition, BlockErrorKind<E>) {
    let at = if all <= frontier.position() {
        BlockPosition::PostBlock
    } else {
        BlockPosition::Transaction(frontier)
    };
    (at, BlockErrorKind::Cancelled)
}

/// Returns why some transactions did not commit; `None` if all did. Re-raises a panic of user code.
pub(in crate::evm) fn cause<E>(
    frontier: TxIndex,
    halt: Option<Halt>,
    error: Option<NoResult<Rejection, E>>,
    broken: Option<Invariant>,
) -> Option<(BlockPosition, BlockErrorKind<E>)> {
    if let Some(broken) = broken {
        return Some((BlockPosition::Transaction(frontier), BlockErrorKind::Internal(broken)));
    }
    let (tx, kind) = match (halt?, error) {
        (Halt::Cancelled, _) => (frontier, BlockErrorKind::Cancelled),
        (Halt::Fallback, _) => return None,
        (Halt::Failed(tx, _) | Halt::NoRoom(tx), error) => match error {
            Some(NoResult::Rejected(Rejection::AccessList(wrong))) => {
                (tx, BlockErrorKind::AccessList(AccessListError::Mismatch(wrong)))
            }
            Some(NoResult::Rejected(rejection)) => (tx, BlockErrorKind::Invalid(rejection)),
            Some(NoResult::Stopped(Stop::Base(error))) => (tx, BlockErrorKind::Base(error)),
            Some(NoResult::Panicked(payload)) => payload.resume(),
            // At the frontier everything below is final, so no read is too early.
            Some(NoResult::Stopped(Stop::Blocked(_) | Stop::TooEarly | Stop::Overtaken)) | None => {
                (tx, BlockErrorKind::Internal(Invariant::MissingResult { tx }))
            }
        },
    };
    Some((BlockPosition::Transaction(tx), kind))
}
