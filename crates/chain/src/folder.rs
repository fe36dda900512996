//! A chain's folder, locked so that only one process uses it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Name of the file that is locked while a process uses the folder. It holds the process id.
const LOCK: &str = "lock";
/// Name of the subfolder with the store.
const STATE: &str = "state";
/// Name of the file for the transactions that wait in a node's pool.
const POOL: &str = "pool.rlp";

/// A chain's folder, which this process uses until the value is dropped. The system releases it
/// when the process ends, however it ends.
#[derive(Debug)]
pub struct ChainFolder {
    path: PathBuf,
    lock: File,
}

/// Reason why a folder cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// Another process uses the folder.
    #[error(
        "{folder} is in use by process {process}; {}wait until it ends, or stop it: kill {process}",
        ask(.answers)
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Id of the process, from the lock file.
        process: u32,
        /// URL at which the process answers JSON-RPC, if it has [announced
        /// one](ChainFolder::answers_at).
        answers: Option<String>,
    },
    /// Another process uses the folder, and its id is unknown.
    #[error("{folder} is in use by another process; wait until it ends")]
    InUseByUnknown {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds no chain.
    #[error(
        "{folder} holds no chain; create one with: braid-node init --genesis genesis.json {folder}"
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds files that belong to no chain.
    #[error(
        "{folder} holds other things, {entry} for example; choose an empty folder, or a name that \
         is not there yet"
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Name of one of them.
        entry: String,
    },
    /// The file system returned an error.
    #[error(
        "{path}: {error}; choose a folder that exists or can be made, and that this user may write"
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Error of the file system.
        error: io::Error,
    },
}

/// Advises to query the node that uses the folder, for the error message.
fn ask(answers: &Option<String>) -> String {
    let at = answers.as_ref();
    at.map_or_else(String::new, |at| {
        format!("ask it at {at} (eth_getBalance, eth_getCode, eth_getStorageAt), or ")
    })
}

impl ChainFolder {
    /// Creates `folder` if it does not exist, and locks it for this process.
    ///
    /// # Errors
    /// The folder holds other files and no chain, and is left unchanged; another process uses the
    /// folder; or the file system returned an error.
    pub fn create(folder: &Path) -> Result<Self, FolderError> {
        fs::create_dir_all(folder).map_err(failed(folder))?;
        if let Some(entry) = foreign(folder).map_err(failed(folder))? {
            return Err(FolderError::Foreign { folder: folder.to_owned(), entry });
        }
        Self::lock(folder)
    }

    /// Locks `folder`, which must hold a chain, for this process.
    ///
    /// # Errors
    /// As for [`create`](Self::create), or the folder holds no chain.
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        if !folder.join(STATE).is_dir() {
            return Err(FolderError::Missing { folder: folder.to_owned() });
        }
        Self::lock(folder)
    }

    /// Opens a folder that cannot be written, like [`open`](Self::open). Several processes may read
    /// it. The store itself does not open there, as opening writes; a copy of the store does.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_to_read(folder: &Path) -> Result<Self, FolderError> {
        if !folder.join(STATE).is_dir() {
            return Err(FolderError::Missing { folder: folder.to_owned() });
        }
        let path = folder.join(LOCK);
        let mut file = File::open(&path).map_err(failed(&path))?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Self { path: folder.to_owned(), lock: file }),
            Err(TryLockError::WouldBlock) => Err(in_use(folder, &mut file)),
            Err(TryLockError::Error(error)) => Err(failed(&path)(error)),
        }
    }

    /// Announces the URL at which this process answers JSON-RPC to processes that find the folder
    /// in use.
    ///
    /// # Errors
    /// The file system returned an error.
    pub fn answers_at(&mut self, url: &str) -> Result<(), FolderError> {
        let path = self.path.join(LOCK);
        write!(self.lock, "\n{url}").map_err(failed(&path))
    }

    fn lock(folder: &Path) -> Result<Self, FolderError> {
        let path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        // Not truncated: another process may hold the lock, and the file has its id. It is emptied
        // once the lock is held.
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(&path)(error)),
        }
        write_process(&mut file).map_err(failed(&path))?;
        Ok(Self { path: folder.to_owned(), lock: file })
    }

    /// Returns the path of the subfolder with the store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join(STATE)
    }

    /// Returns the path of the file in which a node keeps its pool over a restart.
    #[must_use]
    pub fn pool(&self) -> PathBuf {
        self.path.join(POOL)
    }
}

impl Drop for ChainFolder {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process being started shares the file for a
        // moment. If unlocking fails, the system releases the lock when the last process has closed
        // the file.
        let _ = self.lock.unlock();
    }
}

/// Returns the first name, alphabetically, of an entry of `folder` that does not belong to a chain.
/// The folder of a chain may hold any other files.
fn foreign(folder: &Path) -> io::Result<Option<String>> {
    if folder.join(LOCK).is_file() && folder.join(STATE).is_dir() {
        return Ok(None);
    }
    let mut first = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != LOCK && name != STATE && first.as_ref().is_none_or(|first| name < *first) {
            first = Some(name);
        }
    }
    Ok(first)
}

fn write_process(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

fn in_use(folder: &Path, file: &mut File) -> FolderError {
    let folder = folder.to_owned();
    let mut text = String::new();
    let read = file.read_to_string(&mut text).is_ok();
    let mut lines = text.lines().filter(|_| read);
    let process = lines.next().and_then(|line| line.trim().parse().ok());
    let answers = lines.next().map(str::to_owned);
    match process {
        Some(process) => FolderError::InUse { folder, process, answers },
        None => FolderError::InUseByUnknown { folder },
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |error| FolderError::Io { path, error }
}
