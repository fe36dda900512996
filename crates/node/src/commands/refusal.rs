//! Why an import ended early, and what to do about it.

use crate::chain_input::InputError;
use braid_chain::{ChainError, Head, StoreError};
use braid_evm::BlockErrorKind;
use braid_terminal::{End, Stop};

/// Why the import ended before the last block.
pub(super) struct Refusal {
    file: String,
    why: String,
    end: End,
    cause: Cause,
}

/// What has to be put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The blocks that were given.
    Input,
    /// The blocks that were given, which are of another chain.
    OtherChain,
    /// The disk.
    Disk,
    /// Braid, whose writer has panicked.
    Panic,
    /// Braid.
    Bug,
    /// The error says what to do.
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

    /// What to do, after the number of the last durable block.
    const fn advice(self) -> &'static str {
        match self {
            Self::Input => {
                "; correct the input and run the same command again, which goes on after that block"
            }
            Self::OtherChain => {
                "; the input is of another chain: give this chain's blocks, or create a chain from \
                 the genesis of these in another folder, with braid-node init"
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
        // The input is not to blame for a block that the writer names: it is an earlier one.
        let is_earlier = matches!(error, ChainError::Writer { .. });
        let is_input = matches!(cause, Cause::Input | Cause::OtherChain);
        let file = if is_input && !is_earlier { file } else { String::new() };
        // Where the advice below says more than the error's own, that goes.
        let why = error.to_string();
        let stated = why.split_once("; ").map_or(&*why, |(stated, _)| stated);
        let why = if cause == Cause::Stated { why } else { stated.to_owned() };
        Self { file, why, end: end_of(error), cause }
    }

    /// An input that cannot be read, or holds no block of this chain. The error names the file.
    pub(super) fn of_input(error: InputError) -> Self {
        let cause = match error {
            InputError::ChainId { .. } => Cause::OtherChain,
            _ => Cause::Input,
        };
        Self { file: String::new(), why: error.to_string(), end: End::BadInput, cause }
    }

    /// A block of `file` that another chain has in place of this chain's.
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

/// How the command ends by this error: a block that is not what its header says is a mismatch.
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
    use braid_evm::At;
    use std::io;

    #[test]
    fn what_failed_is_blamed_and_not_the_input() {
        let disk = || StoreError::backend(io::Error::other("no space left"));
        let damaged = || StoreError::Damaged { what: "the head".to_owned() };
        let (stated, found) = (B256::ZERO, B256::ZERO);
        let base = |error| {
            let kind = BlockErrorKind::Base(error);
            ChainError::Block { number: 7, at: At::PreBlock, kind }
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
