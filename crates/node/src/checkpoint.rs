//! Checkpoints: copies of a chain's folder, also while the chain grows.

use alloy_primitives::{B256, hex};
use braid_chain::{
    ChainFolder, EmbeddedStore, FolderError, Head, Snapshot, StateReader, StoreError, copy,
};
use core::fmt;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};
use thiserror::Error;

/// Read cache, and memory of each table, of the store that a chain is copied into: only written.
const BYTES: u64 = 8 << 20;

/// Reason why no checkpoint was written.
#[derive(Debug, Error)]
pub(crate) enum CheckpointError {
    #[error("{0} exists; choose another folder, or remove it")]
    Exists(PathBuf),
    #[error("{0} has no name; name the folder to create")]
    Name(PathBuf),
    #[error("the checkpoint of block {0} is being written; ask again once it is complete")]
    Busy(u64),
    #[error("no checkpoint of a block with the hash {0} was asked for since the node started")]
    Unknown(B256),
    #[error("the checkpoint of block {0} was not written: {1}")]
    Failed(u64, String),
    #[error("{path}: {error}; choose a folder that this user may write, with enough free space")]
    Io { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies the chain of `reader` into a new folder at `target`, and returns the number of records.
/// The folder gets its name once it is complete.
pub(crate) fn write<S: Snapshot>(
    reader: &StateReader<S>,
    target: &Path,
    progress: impl FnMut(u64),
) -> Result<u64, CheckpointError> {
    if fs::symlink_metadata(target).is_ok() {
        return Err(CheckpointError::Exists(target.to_owned()));
    }
    let name = target.file_name().ok_or_else(|| CheckpointError::Name(target.to_owned()))?;
    let partial = target.with_file_name(format!(".{}.partial", name.to_string_lossy()));
    // Locked until it has its name, so that nobody else writes or removes it.
    let folder = ChainFolder::create(&partial)?;
    let written = fill(&folder, reader, progress).and_then(|records| {
        let renamed = sync(&partial).and_then(|()| fs::rename(&partial, target));
        let named = renamed.and_then(|()| sync(target.parent().unwrap_or(Path::new(""))));
        named.map_err(|error| CheckpointError::Io { path: target.to_owned(), error })?;
        Ok(records)
    });
    if written.is_err() {
        // The original error matters, not this one; the folder may have its name already.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

/// Copies the chain into the store of `folder`.
fn fill<S: Snapshot>(
    folder: &ChainFolder,
    reader: &StateReader<S>,
    progress: impl FnMut(u64),
) -> Result<u64, CheckpointError> {
    let path = folder.store();
    if path.exists() {
        // An earlier attempt was interrupted.
        let removed = fs::remove_dir_all(&path);
        removed.map_err(|error| CheckpointError::Io { path: path.clone(), error })?;
    }
    let store = EmbeddedStore::open_with_sizes(&path, BYTES, BYTES)?;
    Ok(copy(reader, &store, progress)?)
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Opens the state after the last durable block.
pub(crate) type Open<S> = Box<dyn Fn() -> Result<StateReader<S>, StoreError> + Send + Sync>;

/// The checkpoints that a node writes when a client asks for one.
pub(crate) struct Checkpoints<S> {
    open: Open<S>,
    /// Folder of the checkpoints, which are named by number and hash of their blocks.
    folder: PathBuf,
    /// Is told how each checkpoint ended.
    report: fn(String),
    /// Checkpoints requested since the node started, oldest first.
    asked: Mutex<Vec<(Head, State)>>,
}

#[derive(Clone, Debug)]
enum State {
    Writing,
    Complete,
    Failed(String),
}

impl<S> fmt::Debug for Checkpoints<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoints").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A checkpoint that a client has asked for.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) head: Head,
    pub(crate) folder: PathBuf,
    pub(crate) is_complete: bool,
}

impl<S: Snapshot> Checkpoints<S> {
    /// Writes checkpoints into `folder`, which is created if it does not exist. Removes those that
    /// were interrupted.
    pub(crate) fn new(folder: &Path, open: Open<S>, report: fn(String)) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let name = name.to_string_lossy();
            let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial"));
            let number = name.and_then(|name| name.split_once('-')).map(|(number, _)| number);
            let is_ours = number.is_some_and(|number| number.parse::<u64>().is_ok());
            // Another process may be writing it.
            if is_ours && path.is_dir() && ChainFolder::create(&path).is_ok() {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(Self { open, folder: fs::canonicalize(folder)?, report, asked: Mutex::default() })
    }

    fn asked(&self) -> MutexGuard<'_, Vec<(Head, State)>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder_of(&self, head: Head) -> PathBuf {
        let [first, second, third, fourth, ..] = head.hash.0;
        let hash = hex::encode([first, second, third, fourth]);
        self.folder.join(format!("{}-{hash}", head.number))
    }

    /// Describes a checkpoint that was asked for.
    fn describe(&self, (head, state): &(Head, State)) -> Result<Checkpoint, CheckpointError> {
        let checkpoint =
            |is_complete| Checkpoint { head: *head, folder: self.folder_of(*head), is_complete };
        match state {
            State::Writing => Ok(checkpoint(false)),
            State::Complete => Ok(checkpoint(true)),
            State::Failed(why) => Err(CheckpointError::Failed(head.number, why.clone())),
        }
    }

    /// Returns the checkpoint of the block with this hash, which a client has asked for.
    pub(crate) fn find(&self, hash: B256) -> Result<Checkpoint, CheckpointError> {
        let asked = self.asked();
        let found = asked.iter().rev().find(|(head, _)| head.hash == hash);
        self.describe(found.ok_or(CheckpointError::Unknown(hash))?)
    }

    /// Begins a checkpoint of the last durable block on a thread of its own, unless one of this
    /// block was asked for already.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Checkpoint, CheckpointError> {
        let reader = (self.open)()?;
        let head = reader.head();
        let mut asked = self.asked();
        if let Some((writing, _)) = asked.iter().find(|it| matches!(it.1, State::Writing))
            && *writing != head
        {
            return Err(CheckpointError::Busy(writing.number));
        }
        let has_failed = |it: &(Head, State)| matches!(it.1, State::Failed(_));
        if let Some(last) = asked.iter().rev().find(|it| it.0 == head && !has_failed(it)) {
            return self.describe(last);
        }
        let ended = Ended { of: Arc::clone(self), head, state: State::Failed("a panic".into()) };
        let work = move || ended.write(&reader);
        let started = thread::Builder::new().name("braid-checkpoint".to_owned()).spawn(work);
        started.map_err(|error| CheckpointError::Io { path: self.folder.clone(), error })?;
        asked.push((head, State::Writing));
        asked.last().map_or(Err(CheckpointError::Unknown(head.hash)), |last| self.describe(last))
    }
}

/// Records how a checkpoint ended, when it is dropped.
struct Ended<S: Snapshot> {
    of: Arc<Checkpoints<S>>,
    head: Head,
    state: State,
}

impl<S: Snapshot> Ended<S> {
    fn write(mut self, reader: &StateReader<S>) {
        let (number, folder) = (self.head.number, self.of.folder_of(self.head));
        let text = match write(reader, &folder, |_| {}) {
            Ok(_) | Err(CheckpointError::Exists(_)) => {
                self.state = State::Complete;
                format!("checkpoint of block {number}: {}", folder.display())
            }
            Err(error) => {
                self.state = State::Failed(error.to_string());
                format!("no checkpoint of block {number}: {error}")
            }
        };
        (self.of.report)(text);
    }
}

impl<S: Snapshot> Drop for Ended<S> {
    fn drop(&mut self) {
        let mut asked = self.of.asked();
        // It is missing if the thread could not be started.
        let last = asked.iter_mut().rev().find(|(head, _)| *head == self.head);
        if let Some((_, state)) = last {
            *state = self.state.clone();
        }
    }
}
