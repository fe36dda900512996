//! Errors of an import, with advice.

use crate::chain_input::InputError;
use braid_chain::{ChainError, Head, StoreError};
use braid_evm::BlockErrorKind;
use braid_terminal::{End, Stop};

/// Reason why an import ended before the last block.
pub(super) struct Refusal {
    file: String,
    why: String,
    end: End,
    cause: Cause,
}

/// Cause of the error, which determines the advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The given blocks are wrong.
    Input,
    /// The given blocks belong to a different chain.
    OtherChain,
    /// A block of the followed node is wrong.
    Followed,
    /// The disk failed.
    Disk,
    /// A bug in Braid: the writer has panicked.
    Panic,
    /// A bug in Braid.
    Bug,
    /// The message of the error already contains advice.
    Stated,
}

impl Cause {
    fn of(error: &ChainError) -> Self {
        match error {
            ChainError::Writer { error: StoreError::StateRoot { .. }, .. } => Self::Input,
            ChainError::Writer { error, .. }
            | ChainError::Store(error)
            | ChainError::Block { kind: BlockErrorKind::Base(error), .. } => match error.root() {
                StoreError::Backend(_) => Self::Disk,
                _ => Self::Stated,
            },
            ChainError::WriterEnded { .. } => Self::Panic,
            ChainError::Block { kind: BlockErrorKind::Internal(_), .. } => Self::Bug,
            ChainError::Thread(_) => Self::Stated,
            ChainError::ChainId { .. } | ChainError::Parent { .. } => Self::OtherChain,
            _ => Self::Input,
        }
    }

    /// Returns the advice, which follows the number of the last durable block.
    const fn advice(self) -> &'static str {
        match self {
            Self::Input => {
                "; correct the input and run the same command again, which goes on after that block"
            }
            Self::OtherChain => {
                "; the input is of another chain: give this chain's blocks, or create a chain from \
                 the genesis of these in another folder, with braid-node init"
            }
            Self::Followed => {
                "; the followed node has sent a wrong block, or Braid has a bug: execute the block with another client \
                 to learn which"
            }
            Self::Disk => {
                "; free space or check the disk, and run the same command again, which goes on \
                 after that block"
            }
            Self::Panic => "; this is a bug in Braid: report the panic above",
            Self::Bug => "; this is a bug in Braid: report this error",
            Self::Stated => "",
        }
    }
}

impl Refusal {
    pub(super) fn new(file: String, error: &ChainError) -> Self {
        let cause = Cause::of(error);
        // An error of the writer concerns an earlier block, which may be from an earlier input.
        let is_earlier = matches!(error, ChainError::Writer { .. });
        let is_input = matches!(cause, Cause::Input | Cause::OtherChain);
        let file = if is_input && !is_earlier { file } else { String::new() };
        // Unless the advice of the error itself is used, remove it from the message.
        let why = error.to_string();
        let stated = why.split_once("; ").map_or(&*why, |(stated, _)| stated);
        let why = if cause == Cause::Stated { why } else { stated.to_owned() };
        Self { file, why, end: end_of(error), cause }
    }

    /// Makes the refusal of an input that cannot be read or has a different chain id. The error
    /// names the file.
    pub(super) fn of_input(error: InputError) -> Self {
        let cause = match error {
            InputError::ChainId { .. } => Cause::OtherChain,
            _ => Cause::Input,
        };
        Self { file: String::new(), why: error.to_string(), end: End::BadInput, cause }
    }

    /// Makes the refusal of a block of the followed node at `origin`.
    pub(super) fn of_followed(origin: String, error: &ChainError) -> Self {
        let Self { why, end, cause, .. } = Self::new(String::new(), error);
        let cause = match cause {
            Cause::Input | Cause::OtherChain => Cause::Followed,
            cause => cause,
        };
        Self { file: origin, why, end, cause }
    }

    /// Makes the refusal of a block of `file` that differs from the chain's block.
    pub(super) fn of_other_chain(file: String, why: String) -> Self {
        Self { file, why, end: End::BadInput, cause: Cause::OtherChain }
    }

    fn text(&self, durable: u64) -> String {
        let Self { file, why, cause, .. } = self;
        let place = if file.is_empty() { why.clone() } else { format!("{file}: {why}") };
        format!("{place}; blocks up to {durable} are durable{}", cause.advice())
    }

    pub(super) fn end(self, durable: Head) -> Result<End, Stop> {
        let text = self.text(durable.number);
        match self.end {
            End::Mismatch => {
                braid_terminal::print_error(&text);
                Ok(End::Mismatch)
            }
            _ => Err(Stop::Message(text)),
        }
    }
}

/// Returns the result of the command: a block that differs from its header is a mismatch.
const fn end_of(error: &ChainError) -> End {
    match error {
        ChainError::Header { .. }
        | ChainError::Writer { error: StoreError::StateRoot { .. }, .. } => End::Mismatch,
        _ => End::BadInput,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use braid_evm::BlockPosition;
    use std::io;

    #[test]
    fn what_failed_is_blamed_and_not_the_input() {
        let disk = || StoreError::backend(io::Error::other("no space left"));
        let damaged = || StoreError::Damaged { what: "the head".to_owned() };
        let (stated, found) = (B256::ZERO, B256::ZERO);
        let base = |error| {
            let kind = BlockErrorKind::Base(error);
            ChainError::Block { number: 7, at: BlockPosition::PreBlock, kind }
        };
        let written = |error| ChainError::Writer { number: 7, error };
        let (input, disk_is, stated_is) = (Cause::Input, Cause::Disk, Cause::Stated);
        let other = Cause::OtherChain;
        for (error, cause) in [
            (base(disk()), disk_is),
            (base(damaged()), stated_is),
            (written(disk()), disk_is),
            (written(damaged()), stated_is),
            (written(StoreError::StateRoot { stated, found }), input),
            (ChainError::Store(disk()), disk_is),
            (ChainError::WriterEnded { number: 7 }, Cause::Panic),
            (ChainError::Number { number: 7, head: 3 }, input),
            (ChainError::Parent { number: 4, found, head: stated }, other),
            (ChainError::ChainId { number: 4, index: 0, found: 5, chain: 1 }, other),
        ] {
            let refusal = Refusal::new("blocks.rlp".to_owned(), &error);
            assert_eq!(refusal.cause, cause, "{error:?}");
            let text = refusal.text(3);
            let is_read = cause == other || matches!(error, ChainError::Number { .. });
            assert_eq!(text.starts_with("blocks.rlp: "), is_read, "{text}");
            let end = format!("; blocks up to 3 are durable{}", cause.advice());
            assert!(text.ends_with(&end), "{text}");
        }
    }
}
