//! Finds tests: JSON files, folders of them, and archives, which are read without unpacking.

use braid_blocks::block_file::advice;
use flate2::read::MultiGzDecoder;
use std::{
    fs,
    io::{self, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Maximum size of a file in bytes, which limits the memory that a hostile archive can use.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// A JSON file of a suite.
#[derive(Clone, Debug)]
pub struct Document {
    /// Path of the file, or its name inside the archive.
    pub name: String,
    /// Content of the file.
    pub json: Vec<u8>,
}

/// Advice if there are no tests.
const WANTED: &str =
    "name a test file (.json), a folder of them or an archive (.tar, .tar.gz, .tgz)";

/// A path that cannot be read.
#[derive(Debug, Error)]
#[error("{}: {error}; {}", path.display(), advice(error, WANTED))]
pub struct SourceError {
    /// The requested path, or a file below it.
    pub path: PathBuf,
    /// The cause.
    pub error: io::Error,
}

/// Passes every JSON file of `path` to `visit` until that breaks: the file itself, a folder's files
/// by name, or those of an archive (.tar, .tar.gz, .tgz) in its order. Before a file is read,
/// `wanted` decides by its name.
///
/// # Errors
/// Returns an error if the path does not exist, cannot be read or has no JSON file, or if a file is
/// too large.
pub fn visit(
    path: &Path,
    wanted: &dyn Fn(&str) -> bool,
    visit: &mut dyn FnMut(Document) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, SourceError> {
    let named = |error| SourceError { path: path.to_owned(), error };
    if path.is_dir() {
        return folder(path, wanted, visit);
    }
    let name = path.to_string_lossy();
    let file = || fs::File::open(path).map_err(named);
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        archive(MultiGzDecoder::new(file()?), wanted, visit).map_err(named)
    } else if name.ends_with(".tar") {
        archive(file()?, wanted, visit).map_err(named)
    } else {
        let json = read_bounded(file()?).map_err(named)?;
        Ok(visit(Document { name: name.into_owned(), json }))
    }
}

fn folder(
    path: &Path,
    wanted: &dyn Fn(&str) -> bool,
    visit: &mut dyn FnMut(Document) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, SourceError> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    if files.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, "no JSON file in this folder");
        return Err(SourceError { path: path.to_owned(), error });
    }
    for file in files {
        let name = file.to_string_lossy().into_owned();
        if !wanted(&name) {
            continue;
        }
        let opened = fs::File::open(&file).and_then(read_bounded);
        let json = opened.map_err(|error| SourceError { path: file, error })?;
        if visit(Document { name, json }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Collects all JSON files below `folder`, by path.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let named = |error| SourceError { path: folder.to_owned(), error };
    let entries = fs::read_dir(folder).map_err(named)?;
    let mut entries: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(named)?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(&entry, files)?;
        } else if entry.extension().is_some_and(|extension| extension == "json") {
            files.push(entry);
        }
    }
    Ok(())
}

fn archive(
    packed: impl Read,
    wanted: &dyn Fn(&str) -> bool,
    visit: &mut dyn FnMut(Document) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let mut archive = tar::Archive::new(packed);
    let mut any = false;
    for entry in archive.entries()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        if !name.ends_with(".json") || !entry.header().entry_type().is_file() {
            continue;
        }
        any = true;
        if wanted(&name) && visit(Document { name, json: read_bounded(entry)? }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if any {
        Ok(ControlFlow::Continue(()))
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, "no JSON file in this archive"))
    }
}

fn read_bounded(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE_BYTES) {
        Ok(bytes)
    } else {
        Err(io::Error::other(format!("expected at most {MAX_FILE_BYTES} bytes, found more")))
    }
}
