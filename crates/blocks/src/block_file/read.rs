//! Reads block files.

use super::{BlockFile, BlockFileError, BlockFileErrorKind, FieldError, STANDARD_STREAM, diagnose};
use flate2::read::MultiGzDecoder;
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// Maximum size of a file's decompressed JSON in bytes, which limits the memory that a hostile file
/// can use.
pub const MAX_UNPACKED_BYTES: u64 = 2 << 30;

pub(crate) const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
pub(crate) const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Returns whether a file in a folder counts as a block file: its name ends in `.json`, `.json.gz`
/// or `.json.zst`, and it is no state witness.
#[must_use]
pub fn is_block_file_name(name: &str) -> bool {
    let stem = [".json", ".json.gz", ".json.zst"].iter().find_map(|end| name.strip_suffix(end));
    stem.is_some_and(|stem| !stem.is_empty() && !stem.ends_with(".witness"))
}

impl BlockFile {
    /// Reads the block file at `path`; `-` is standard input. The first bytes determine the
    /// compression.
    ///
    /// # Errors
    /// Returns any [`BlockFileErrorKind`] about reading, with the file's name.
    pub fn read(path: &Path) -> Result<Self, BlockFileError> {
        let packed = if path == Path::new(STANDARD_STREAM) {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        } else {
            fs::read(path)
        };
        packed
            .map_err(BlockFileErrorKind::Io)
            .and_then(|bytes| Self::from_bytes(&bytes))
            .map_err(|kind| BlockFileError::new(path.display().to_string(), kind))
    }

    /// Parses a block file, plain or compressed.
    ///
    /// # Errors
    /// Returns any [`BlockFileErrorKind`] about the content.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BlockFileErrorKind> {
        if bytes.starts_with(GZIP_MAGIC) {
            Self::from_json(&unpack("gzip", MultiGzDecoder::new(bytes))?)
        } else if bytes.starts_with(ZSTD_MAGIC) {
            let decoder = zstd::Decoder::new(bytes)
                .map_err(|source| BlockFileErrorKind::Unpack { format: "zstd", source })?;
            Self::from_json(&unpack("zstd", decoder)?)
        } else {
            Self::from_json(bytes)
        }
    }

    /// Parses the JSON of a block file.
    ///
    /// # Errors
    /// Returns [`BlockFileErrorKind::Syntax`] for invalid JSON, and [`BlockFileErrorKind::Field`]
    /// for JSON that is not a block file.
    pub fn from_json(json: &[u8]) -> Result<Self, BlockFileErrorKind> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let file: Self = match serde_path_to_error::deserialize(&mut deserializer) {
            Ok(file) => file,
            Err(error) => return Err(explain(json, error)),
        };
        deserializer.end().map_err(BlockFileErrorKind::Syntax)?;
        Ok(file)
    }
}

fn unpack(format: &'static str, packed: impl Read) -> Result<Vec<u8>, BlockFileErrorKind> {
    let mut json = Vec::new();
    let read = packed.take(MAX_UNPACKED_BYTES.saturating_add(1)).read_to_end(&mut json);
    let length = read.map_err(|source| BlockFileErrorKind::Unpack { format, source })?;
    if u64::try_from(length).is_ok_and(|length| length <= MAX_UNPACKED_BYTES) {
        Ok(json)
    } else {
        Err(BlockFileErrorKind::TooLarge { limit: MAX_UNPACKED_BYTES })
    }
}

/// Converts a parse error to one that names the field.
///
/// Serde loses the path in flattened and untagged structures, such as the block and its
/// transactions, so their fields are checked one by one.
fn explain(
    json: &[u8],
    error: serde_path_to_error::Error<serde_json::Error>,
) -> BlockFileErrorKind {
    let value: serde_json::Value = match serde_json::from_slice(json) {
        Ok(value) => value,
        Err(syntax) => return BlockFileErrorKind::Syntax(syntax),
    };
    if let Some(field) = diagnose::first_wrong_field(&value) {
        return field.into();
    }
    let path = error.path().to_string();
    let field = if path == "." { "(the whole file)".to_owned() } else { path };
    FieldError::new(field, "a block file of this format", error.inner().to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn names_of_block_files() {
        for name in ["a.json", "a.json.gz", "mainnet-1.json.zst", "a.b.json"] {
            assert!(is_block_file_name(name), "{name}");
        }
        for name in ["a.witness.json.zst", "index.tsv", ".json", "a.json.xz", "json"] {
            assert!(!is_block_file_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_json_is_said_so() {
        for bytes in [&b""[..], b"\0\0", b"{", b"index\tfile", b"{\"meta\": {},}"] {
            let error = BlockFile::from_bytes(bytes).expect_err("not JSON");
            assert!(matches!(error, BlockFileErrorKind::Syntax(_)), "{error}");
        }
    }

    #[test]
    fn broken_packing_is_said_so() {
        for bytes in [&[0x1f, 0x8b, 8, 0, 1][..], &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 1]] {
            let error = BlockFile::from_bytes(bytes).expect_err("not packed");
            assert!(matches!(error, BlockFileErrorKind::Unpack { .. }), "{error}");
        }
    }

    #[test]
    fn packed_json_is_unpacked_first() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"[]").expect("in memory");
        let zstd = zstd::encode_all(&b"[]"[..], 1).expect("in memory");
        for bytes in [gzip.finish().expect("in memory"), zstd] {
            let error = BlockFile::from_bytes(&bytes).expect_err("no block file");
            assert!(matches!(error, BlockFileErrorKind::Field(_)), "{error}");
        }
    }
}
