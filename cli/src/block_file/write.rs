//! Writing block files.

use super::{BlockFile, BlockFileError, BlockFileErrorKind};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

/// zstd level: the time of a second-rate level is spent once, the size is carried for ever.
const ZSTD_LEVEL: i32 = 12;

impl BlockFile {
    /// Writes the file to `path`, packed as the end of its name says: `.json`, `.json.gz` or
    /// `.json.zst`.
    ///
    /// # Errors
    /// Another ending, or an error of the file system; both name the file.
    pub fn write(&self, path: &Path) -> Result<(), BlockFileError> {
        self.write_packed(path)
            .map_err(|kind| BlockFileError::new(path.display().to_string(), kind))
    }

    fn write_packed(&self, path: &Path) -> Result<(), BlockFileErrorKind> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let pack = if name.ends_with(".json") {
            Pack::Plain
        } else if name.ends_with(".json.gz") {
            Pack::Gzip
        } else if name.ends_with(".json.zst") {
            Pack::Zstd
        } else {
            return Err(BlockFileErrorKind::Extension);
        };
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

    /// Writes the file as plain JSON with a line feed at the end and returns the writer.
    ///
    /// # Errors
    /// Errors of the writer.
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

fn finish(mut out: impl Write) -> Result<(), BlockFileErrorKind> {
    out.flush()?;
    Ok(())
}
