//! A folder that one process at a time uses.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Name of the file that the process which uses the folder keeps locked. It holds that process's id.
const LOCK: &str = "lock";
/// Name of the folder in which the store lies.
const STATE: &str = "state";

/// A chain's folder, in use by this process until the value is dropped. The system releases it
/// when the process ends, however that happens.
#[derive(Debug)]
pub struct ChainFolder {
    path: PathBuf,
    lock: File,
}

/// The folder cannot be used.
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
        /// Process id, as the lock file has it.
        process: u32,
        /// Where the process answers JSON-RPC, if it has [said so](ChainFolder::answers_at).
        answers: Option<String>,
    },
    /// Another process uses the folder and has not said which one it is.
    #[error("{folder} is in use by another process; wait until it ends")]
    InUseByUnknown {
        /// The folder.
        folder: PathBuf,
    },
    /// No chain was created there.
    #[error(
        "{folder} holds no chain; create one with: braid-node init --genesis genesis.json {folder}"
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds other things than a chain.
    #[error(
        "{folder} holds other things, {entry} for example; choose an empty folder, or a name that \
         is not there yet"
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Name of one of the things.
        entry: String,
    },
    /// The file system refused.
    #[error(
        "{path}: {error}; choose a folder that exists or can be made, and that this user may write"
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system says.
        error: io::Error,
    },
}

/// What to do while a node uses a folder.
fn ask(answers: &Option<String>) -> String {
    let at = answers.as_ref();
    at.map_or_else(String::new, |at| {
        format!("ask it at {at} (eth_getBalance, eth_getCode, eth_getStorageAt), or ")
    })
}

impl ChainFolder {
    /// Makes `folder`, unless it is there, and takes it for this process.
    ///
    /// # Errors
    /// The folder holds other things and no chain, which is left as it is; another process uses the
    /// folder, or the file system refuses.
    pub fn create(folder: &Path) -> Result<Self, FolderError> {
        fs::create_dir_all(folder).map_err(failed(folder))?;
        if let Some(entry) = foreign(folder).map_err(failed(folder))? {
            return Err(FolderError::Foreign { folder: folder.to_owned(), entry });
        }
        Self::lock(folder)
    }

    /// Takes `folder`, in which a chain was created, for this process.
    ///
    /// # Errors
    /// As [`create`](Self::create), or no chain was created there.
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        if !folder.join(STATE).is_dir() {
            return Err(FolderError::Missing { folder: folder.to_owned() });
        }
        Self::lock(folder)
    }

    /// As [`open`](Self::open) where nothing can be written: several processes may read then. The store
    /// does not open there, as it writes when it opens; a copy of it does.
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

    /// Tells other processes, which cannot use the folder now, where this one answers JSON-RPC.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn answers_at(&mut self, url: &str) -> Result<(), FolderError> {
        let path = self.path.join(LOCK);
        write!(self.lock, "\n{url}").map_err(failed(&path))
    }

    fn lock(folder: &Path) -> Result<Self, FolderError> {
        let path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        // The file may hold another process's id: it is emptied once the lock is held.
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

    /// The folder in which the store lies.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join(STATE)
    }
}

impl Drop for ChainFolder {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that this one starts has the file for a moment.
        // If this fails, the system releases the lock when the last of them has closed it.
        let _ = self.lock.unlock();
    }
}

/// Name of something in `folder`, the first by name, that no chain has put there. In the folder of a
/// chain there may be anything.
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
