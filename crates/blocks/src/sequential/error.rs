//! Why a sequential execution stopped, and where.

use super::{AccessLists, SkipReason};
use alloy_evm::block::{BlockExecutionError, BlockValidationError};
use std::fmt;
use thiserror::Error;

/// A sequential execution that stopped.
#[derive(Debug, Error)]
#[error("{at}: {kind}")]
pub struct SequentialError<E> {
    /// Where it stopped.
    pub at: Position,
    /// Why it stopped.
    pub kind: SequentialErrorKind<E>,
    /// Accesses before the failing transaction or, if a post-block call fails, before the
    /// post-block calls; if requested.
    pub access_list: Option<Box<AccessLists>>,
}

/// A position in the execution of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Before the first transaction: the pre-block system calls.
    PreBlock,
    /// The transaction with this index.
    Transaction(usize),
    /// After the last transaction: requests, withdrawals, rewards.
    PostBlock,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreBlock => f.write_str("before the first transaction"),
            Self::Transaction(index) => write!(f, "transaction {index}"),
            Self::PostBlock => f.write_str("after the last transaction"),
        }
    }
}

/// Why a sequential execution stopped.
#[derive(Debug, Error)]
pub enum SequentialErrorKind<E> {
    /// The database failed.
    #[error("the database failed: {0}")]
    Base(E),
    /// The transaction cannot be part of the block.
    #[error("{0}")]
    Invalid(SkipReason),
    /// Anything else: a failed system call, a fatal precompile error.
    #[error("{0}")]
    Other(String),
}

impl<E> SequentialErrorKind<E> {
    /// Converts an error of the block executor; `base` is the database's own error, if it failed.
    pub(super) fn new(error: BlockExecutionError, base: Option<E>) -> Self {
        if let Some(base) = base {
            return Self::Base(base);
        }
        match SkipReason::of(&error) {
            Some(reason) => Self::Invalid(reason),
            None => Self::Other(error.to_string()),
        }
    }
}

impl SkipReason {
    /// Returns the reason why the transaction is invalid, if that is the block executor's error.
    pub(super) fn of(error: &BlockExecutionError) -> Option<Self> {
        match error.as_validation()? {
            BlockValidationError::InvalidTx { error, .. } => {
                error.as_invalid_tx_err().cloned().map(Self::Invalid)
            }
            BlockValidationError::TransactionGasLimitMoreThanAvailableBlockGas {
                transaction_gas_limit: limit,
                block_available_gas: available,
            } => Some(Self::BlockGas { limit: *limit, available: *available }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        block::Block,
        block_file::FileDatabase,
        errors::Made,
        faulty::{Fault, Unreadable},
        hooked::Read,
        sequential,
        workload::{Workload, WorkloadSpec, generate},
    };

    fn block() -> (Block, FileDatabase) {
        let file = generate(&WorkloadSpec::new(Workload::Transfers, 3, 0, 1).unsigned());
        file.expect("it generates").to_block().expect("a block")
    }

    /// Returns the error of a valid block after `changed`, on a database with `fault`.
    fn refused(changed: impl Fn(&mut Block), fault: Fault) -> SequentialError<Unreadable> {
        let (mut block, database) = block();
        changed(&mut block);
        let database = fault.of(database);
        sequential::execute(&block, database).expect_err("it does not execute")
    }

    #[test]
    fn every_reason_names_its_place() {
        let sender = Fault::At(Read::Account(block().0.transactions[1].caller));
        let mut made = Made::default();
        let unread = refused(|_| {}, sender);
        assert!(unread.to_string().starts_with("transaction "), "{unread}");
        made.add(&unread.kind, &["the database failed"]);
        let rootless = refused(|block| block.parent_beacon_block_root = None, Fault::Never);
        assert_eq!(rootless.at, Position::PreBlock);
        made.add(&rootless.kind, &["beacon"]);
        let skipped = refused(|block| block.transactions[1].nonce = 77, Fault::Never);
        assert_eq!(skipped.at, Position::Transaction(1));
        made.add(&skipped.kind, &["nonce", "77"]);
        made.has_all_of(include_str!("error.rs"), "SequentialErrorKind", &[]);

        let mut made = Made::default();
        let full = refused(|block| block.env.gas_limit = 20_000, Fault::Never);
        for error in [skipped, full] {
            match error.kind {
                SequentialErrorKind::Invalid(reason) => made.add(&reason, &[]),
                other => panic!("{other}"),
            }
        }
        made.has_all_of(include_str!("mod.rs"), "SkipReason", &[]);
    }
}
