//! The file that a command writes: plain or packed, or standard output.

use braid_blocks::block_file::missing_folder;
use braid_chain::ExportError;
use braid_terminal::{Stop, message};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// zstd's default.
const ZSTD_LEVEL: i32 = 0;

/// Extensions of compression formats that are not supported.
const OTHER_PACKING: [&str; 9] = ["bz2", "xz", "lzma", "lz4", "br", "7z", "zip", "zstd", "tgz"];

/// The file that a command is to write. `-` is standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputFile<'a> {
    path: &'a Path,
    force: bool,
}

impl<'a> OutputFile<'a> {
    /// Returns the file at `path`. With `force`, it replaces one that exists.
    ///
    /// # Errors
    /// The name is that of a packed file of a format that is not supported.
    pub(super) fn new(path: &'a Path, force: bool) -> Result<Self, Stop> {
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        if OTHER_PACKING.iter().any(|other| other.eq_ignore_ascii_case(extension)) {
            return Err(message(format!(
                "{}: the file would not be packed as its name says; choose a name that ends with \
                 .gz or .zst, or with neither",
                path.display()
            )));
        }
        Ok(Self { path, force })
    }

    fn is_standard_output(self) -> bool {
        self.path.as_os_str() == "-"
    }

    /// Returns where the command reports: standard error if the file is standard output.
    pub(super) fn report(self) -> Box<dyn Write> {
        match self.is_standard_output() {
            true => Box::new(io::stderr().lock()),
            false => Box::new(io::stdout().lock()),
        }
    }

    /// Writes what `write` writes, and returns its result.
    ///
    /// # Errors
    /// `write` failed, or the file exists or cannot be written. What was at the path is then still
    /// there.
    pub(super) fn write<T>(
        self,
        write: impl FnOnce(&mut dyn Write) -> Result<T, ExportError>,
    ) -> Result<T, Stop> {
        if self.is_standard_output() {
            let mut out = BufWriter::new(io::stdout().lock());
            let written = write(&mut out).and_then(|written| {
                out.flush()?;
                Ok(written)
            });
            return written.map_err(|error| match error {
                ExportError::Output(error) => Stop::Output(error),
                other => message(other),
            });
        }
        let written = match self.target()? {
            Target::File(path) => self.replace(&path, write),
            Target::Stream => self.pack(self.path, write),
        };
        written.map_err(|error| match error {
            ExportError::Output(error) => {
                let file = self.path.display();
                message(format!("{file}: the file cannot be written: {error}"))
            }
            other => message(other),
        })
    }

    /// Determines what is at the path. A link is followed: its target is replaced, not the link.
    fn target(self) -> Result<Target, Stop> {
        let path = self.path;
        let failed = |error: io::Error| message(format!("{}: {error}", path.display()));
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return match missing_folder(path) {
                    Some(folder) => Err(message(format!(
                        "{}: the folder {} is missing; create it, or name another file",
                        path.display(),
                        folder.display()
                    ))),
                    None => Ok(Target::File(path.to_owned())),
                };
            }
            other => other.map_err(failed)?,
        };
        let refused = |why| Err(message(format!("{} {why}", path.display())));
        if found.is_dir() {
            return refused("is a folder; name a file in it");
        }
        if !found.is_file() {
            return Ok(Target::Stream);
        }
        if !self.force {
            return refused("exists; choose another name, or overwrite the file with --force");
        }
        path.canonicalize().map(Target::File).map_err(failed)
    }

    /// Writes a file at `path`. An existing one stays until everything is written beside it.
    fn replace<T>(
        self,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> Result<T, ExportError>,
    ) -> Result<T, ExportError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = path.with_file_name(format!(".{name}.partial"));
        let written = self
            .pack(&partial, write)
            .and_then(|written| Ok(fs::rename(&partial, path).map(|()| written)?));
        if written.is_err() {
            // The original error matters, not this one; there may be nothing to remove.
            let _ = fs::remove_file(&partial);
        }
        written
    }

    /// Writes to `path`, packed according to the extension of the file's name.
    fn pack<T>(
        self,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> Result<T, ExportError>,
    ) -> Result<T, ExportError> {
        let mut out = BufWriter::new(File::create(path)?);
        let written = match self.path.extension().and_then(|it| it.to_str()) {
            Some("gz") => {
                let mut packed = GzEncoder::new(&mut out, Compression::default());
                let written = write(&mut packed)?;
                packed.finish()?;
                written
            }
            Some("zst") => {
                let mut packed = zstd::Encoder::new(&mut out, ZSTD_LEVEL)?;
                let written = write(&mut packed)?;
                packed.finish()?;
                written
            }
            _ => write(&mut out)?,
        };
        let file = out.into_inner().map_err(io::Error::from)?;
        // A pipe or a device has nothing to sync, and may refuse to.
        if file.metadata()?.is_file() {
            file.sync_all()?;
        }
        Ok(written)
    }
}

/// What is at a path.
enum Target {
    /// A file, or nothing: it is replaced once everything is written to a temporary file beside it.
    File(PathBuf),
    /// A pipe or a device, which cannot be replaced.
    Stream,
}
