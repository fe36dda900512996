//! What can be wrong with a block file. Every message names the file, the field and what was
//! expected there, or what to do next.

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
    /// What is wrong.
    pub kind: BlockFileErrorKind,
}

/// What is wrong with a block file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlockFileErrorKind {
    /// The file could not be read or written.
    #[error(
        "expected a file that can be used: {0}; {to_do}",
        to_do = advice(.0, "check the path: braid gen and braid fetch write block files")
    )]
    Io(#[from] io::Error),
    /// A folder is named in which there is no block file.
    #[error(
        "expected block files (.json, .json.gz, .json.zst) in this folder, found none; name another \
         folder, or fill it with braid gen or braid fetch"
    )]
    EmptyFolder,
    /// The compressed bytes do not unpack.
    #[error("expected whole {format} data, which does not unpack: {source}; copy the file again")]
    Unpack {
        /// `gzip` or `zstd`, told by the first bytes.
        format: &'static str,
        /// The decoder's error.
        source: io::Error,
    },
    /// The file unpacks to more than is accepted.
    #[error("expected at most {limit} bytes of JSON, found more; name a block file")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The text is no JSON.
    #[error(
        "expected a block file in JSON, plain or packed with gzip or zstd: {0}; braid gen and braid \
         fetch write such files"
    )]
    Syntax(serde_json::Error),
    /// A field has a wrong value.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The name to write to does not say in which format.
    #[error("expected a file name that ends in .json, .json.gz or .json.zst")]
    Extension,
    /// The file cannot be written, as its folder is missing.
    #[error("the folder {} is missing; make it, or name another file", .0.display())]
    NoFolder(PathBuf),
    /// The state witness beside the file cannot be used.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The block could not be put into JSON.
    #[error("the block does not serialise: {0}")]
    Serialise(serde_json::Error),
}

/// What to do about an error of the file system; `missing` where there is no such file.
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

/// The folder of `path` if it is missing: no file of that name can be written.
#[must_use]
pub fn missing_folder(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
}

/// A field of a block file whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct FieldError {
    /// Path of the field inside the file: `block.transactions[3].nonce`.
    pub field: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Index of the transaction that the field belongs to, if it belongs to one.
    pub transaction: Option<usize>,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field {}: expected {}, found {}", self.field, self.expected, self.found)
    }
}

impl FieldError {
    /// An error about a field that belongs to no transaction.
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

    /// The same error about a field of transaction `index`.
    #[must_use]
    pub fn in_transaction(mut self, index: usize) -> Self {
        self.transaction = Some(index);
        self
    }
}

impl BlockFileError {
    /// Joins the name of a file with what is wrong in it.
    pub fn new(file: impl Into<String>, kind: impl Into<BlockFileErrorKind>) -> Self {
        Self { file: file.into(), kind: kind.into() }
    }

    /// Path of the field that is wrong, if the error is about one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match &self.kind {
            BlockFileErrorKind::Field(error) => Some(&error.field),
            _ => None,
        }
    }

    /// Index of the transaction that is wrong, if the error is about one.
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

    const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/block_file/error.rs");

    #[test]
    fn every_message_says_what_to_do() {
        let mut made = Made::default();
        let gone = BlockFile::read(Path::new("gone.json")).expect_err("it is not there");
        assert!(gone.to_string().starts_with("gone.json: "), "{gone}");
        made.add(&gone.kind, &["No such file", "braid gen and braid fetch"]);
        let ending = BlockFile::check_name(Path::new("a.txt")).expect_err("another ending");
        made.add(&ending.kind, &["ends in .json"]);
        let folder = BlockFile::check_name(Path::new("gone/a.json")).expect_err("no folder");
        made.add(&folder.kind, &["the folder gone is missing"]);
        for (bytes, words) in [
            (&[0x1f, 0x8b, 8, 0, 1][..], "copy the file again"),
            (b"index\tfile", "braid gen and braid fetch"),
            (b"{}", "field meta: expected an object, found nothing"),
        ] {
            made.add(&BlockFile::from_bytes(bytes).expect_err("no block file"), &[words]);
        }
        let witness = Witness::read(Path::new("gone.json")).expect_err("it is not there");
        made.add(&BlockFileErrorKind::from(witness), &["the state root is not compared"]);
        // Of the tool, which reads folders; of a block that has no JSON; of gigabytes.
        made.has_all_of(SOURCE, "BlockFileErrorKind", &["EmptyFolder", "Serialise", "TooLarge"]);
    }
}
