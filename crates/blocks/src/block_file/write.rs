//! Writes block files.

use super::{BlockFile, BlockFileError, BlockFileErrorKind, missing_folder};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

/// zstd compression level: files are compressed once and stored for ever, so size matters more than
/// time.
const ZSTD_LEVEL: i32 = 12;

impl BlockFile {
    /// Writes the file to `path`, compressed according to its suffix: `.json`, `.json.gz` or
    /// `.json.zst`. The file is written under another name and then renamed, so an existing file is
    /// replaced only on success.
    ///
    /// # Errors
    /// Returns an error for another suffix, for a folder that does not exist, and for errors of the
    /// file system; each names the file.
    pub fn write(&self, path: &Path) -> Result<(), BlockFileError> {
        Self::check_name(path)?;
        self.write_packed(path)
            .map_err(|kind| BlockFileError::new(path.display().to_string(), kind))
    }

    /// Checks that [`write`](Self::write) supports the suffix of this name and that the folder
    /// exists, so that a command can fail before it does any work.
    ///
    /// # Errors
    /// Returns an error for another suffix, or a folder that does not exist.
    pub fn check_name(path: &Path) -> Result<(), BlockFileError> {
        let known = Pack::of(path).and_then(|_| match missing_folder(path) {
            Some(folder) => Err(BlockFileErrorKind::NoFolder(folder.to_owned())),
            None => Ok(()),
        });
        known.map_err(|kind| BlockFileError::new(path.display().to_string(), kind))
    }

    fn write_packed(&self, path: &Path) -> Result<(), BlockFileErrorKind> {
        let (name, pack) = Pack::of(path)?;
        let partial = path.with_file_name(format!(".{name}.partial"));
        let written = self.write_as(&pack, &partial).and_then(|()| Ok(fs::rename(&partial, path)?));
        if written.is_err() {
            // The error to report is that of writing; the partial file may not exist.
            let _ = fs::remove_file(&partial);
        }
        written
    }

    fn write_as(&self, pack: &Pack, path: &Path) -> Result<(), BlockFileErrorKind> {
        let out = BufWriter::new(File::create(path)?);
        match pack {
            Pack::Plain => finish(self.write_json(out)?),
            Pack::Gzip => {
                let packed = self.write_json(GzEncoder::new(out, Compression::best()))?;
                finish(packed.finish()?)
            }
            Pack::Zstd => {
                let packed = self.write_json(zstd::Encoder::new(out, ZSTD_LEVEL)?)?;
                finish(packed.finish()?)
            }
        }
    }

    /// Writes the file as plain JSON with a final line feed, and returns the writer.
    ///
    /// # Errors
    /// Returns the errors of the writer.
    pub fn write_json<W: Write>(&self, mut out: W) -> Result<W, BlockFileErrorKind> {
        serde_json::to_writer(&mut out, self).map_err(|error| match error.io_error_kind() {
            Some(kind) => BlockFileErrorKind::Io(kind.into()),
            None => BlockFileErrorKind::Serialise(error),
        })?;
        out.write_all(b"\n")?;
        Ok(out)
    }
}

enum Pack {
    Plain,
    Gzip,
    Zstd,
}

impl Pack {
    /// Returns the name of the file, and the format of its suffix.
    fn of(path: &Path) -> Result<(String, Self), BlockFileErrorKind> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let pack = if name.ends_with(".json") {
            Self::Plain
        } else if name.ends_with(".json.gz") {
            Self::Gzip
        } else if name.ends_with(".json.zst") {
            Self::Zstd
        } else {
            return Err(BlockFileErrorKind::Extension);
        };
        Ok((name, pack))
    }
}

fn finish(mut out: impl Write) -> Result<(), BlockFileErrorKind> {
    out.flush()?;
    Ok(())
}
