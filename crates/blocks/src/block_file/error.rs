//! Errors of block files. Every message names the file, the field and the expected value, or the
//! next step.

use crate::state_root::WitnessError;
use std::{
    fmt, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// A block file that could not be used, with its name.
#[derive(Debug, Error)]
#[error("{file}: {kind}")]
pub struct BlockFileError {
    /// The file as the user named it; `-` is standard input.
    pub file: String,
    /// The cause.
    pub kind: BlockFileErrorKind,
}

/// Why a block file could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlockFileErrorKind {
    /// The file could not be read or written.
    #[error(
        "cannot read or write the file: {0}; {to_do}",
        to_do = advice(.0, "check the path, or write a block file with braid gen or braid fetch")
    )]
    Io(#[from] io::Error),
    /// A named folder contains no block file.
    #[error(
        "expected block files (.json, .json.gz, .json.zst) in this folder, found none; name another \
         folder, or fill it with braid gen or braid fetch"
    )]
    EmptyFolder,
    /// The compressed file cannot be decompressed.
    #[error("expected complete {format} data: {source}; copy the file again")]
    Unpack {
        /// `gzip` or `zstd`, according to the first bytes.
        format: &'static str,
        /// The decoder's error.
        source: io::Error,
    },
    /// The decompressed file exceeds the limit.
    #[error("expected at most {limit} bytes of JSON, found more; name a block file")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The text is not JSON.
    #[error(
        "expected a block file in JSON, plain or packed with gzip or zstd: {0}; braid gen and braid \
         fetch write such files"
    )]
    Syntax(serde_json::Error),
    /// A field has a wrong value.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The suffix of the name to write to selects no format.
    #[error("expected a file name that ends in .json, .json.gz or .json.zst")]
    Extension,
    /// The file cannot be written because its folder does not exist.
    #[error("the folder {} is missing; create it, or name another file", .0.display())]
    NoFolder(PathBuf),
    /// The state witness beside the file cannot be used.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The block could not be converted to JSON.
    #[error("cannot serialize the block: {0}")]
    Serialise(serde_json::Error),
}

/// Returns advice on an error of the file system; `missing` is that for a file that does not exist.
#[must_use]
pub fn advice(error: &io::Error, missing: &'static str) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => missing,
        io::ErrorKind::PermissionDenied => "give this user access to it",
        io::ErrorKind::IsADirectory => "name a file in this folder",
        io::ErrorKind::StorageFull => "free space on the disk",
        _ => "check the path and the disk",
    }
}

/// Returns the folder of `path` if it does not exist, so that the file cannot be written.
#[must_use]
pub fn missing_folder(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
}

/// A field of a block file whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct FieldError {
    /// Path of the field inside the file: `block.transactions[3].nonce`.
    pub field: String,
    /// The expected value.
    pub expected: String,
    /// The actual value.
    pub found: String,
    /// Index of the transaction that the field belongs to, if any.
    pub transaction: Option<usize>,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field {}: expected {}, found {}", self.field, self.expected, self.found)
    }
}

impl FieldError {
    /// Creates an error about a field outside the transactions.
    pub fn new(
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            expected: expected.into(),
            found: found.into(),
            transaction: None,
        }
    }

    /// Returns the same error about a field of transaction `index`.
    #[must_use]
    pub fn in_transaction(mut self, index: usize) -> Self {
        self.transaction = Some(index);
        self
    }
}

impl BlockFileError {
    /// Combines the name of a file with an error in it.
    pub fn new(file: impl Into<String>, kind: impl Into<BlockFileErrorKind>) -> Self {
        Self { file: file.into(), kind: kind.into() }
    }

    /// Returns the path of the wrong field, if the error is about one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match &self.kind {
            BlockFileErrorKind::Field(error) => Some(&error.field),
            _ => None,
        }
    }

    /// Returns the index of the invalid transaction, if the error is about one.
    #[must_use]
    pub fn transaction(&self) -> Option<usize> {
        match &self.kind {
            BlockFileErrorKind::Field(error) => error.transaction,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{block_file::BlockFile, errors::Made, state_root::Witness};

    const SOURCE: &str = include_str!("error.rs");

    #[test]
    fn every_message_says_what_to_do() {
        let mut made = Made::default();
        let gone = BlockFile::read(Path::new("gone.json")).expect_err("it is not there");
        assert!(gone.to_string().starts_with("gone.json: "), "{gone}");
        made.add(&gone.kind, &["No such file", "braid gen or braid fetch"]);
        let ending = BlockFile::check_name(Path::new("a.txt")).expect_err("another ending");
        made.add(&ending.kind, &["ends in .json"]);
        let folder = BlockFile::check_name(Path::new("gone/a.json")).expect_err("no folder");
        made.add(&folder.kind, &["the folder gone is missing"]);
        for (bytes, words) in [
            (&[0x1f, 0x8b, 8, 0, 1][..], "copy the file again"),
            (b"index\tfile", "braid gen and braid fetch"),
            (b"{}", "braid fetch and braid gen write, found nothing"),
        ] {
            made.add(&BlockFile::from_bytes(bytes).expect_err("no block file"), &[words]);
        }
        let witness = Witness::read(Path::new("gone.json")).expect_err("it is not there");
        made.add(&BlockFileErrorKind::from(witness), &["the state root is not compared"]);
        // Made elsewhere: by the tool, which reads folders; by a block without JSON; by gigabytes
        // of input.
        made.has_all_of(SOURCE, "BlockFileErrorKind", &["EmptyFolder", "Serialise", "TooLarge"]);
    }
}
