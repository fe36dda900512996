//! Inputs that may be compressed with gzip or zstd, detected by their first bytes.

use flate2::bufread::MultiGzDecoder;
use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Number of bytes of files that the blocks so far consumed, for the progress.
pub(super) type Taken = Arc<AtomicU64>;

/// Decompressed input.
pub type Input = Box<dyn BufRead + Send>;

/// Format of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A block file.
    Json,
    /// Blocks in RLP.
    Rlp,
}

/// Decompresses `input`, and detects its format.
pub(super) fn unpack(
    input: impl Read + Send + 'static,
    taken: Taken,
) -> io::Result<(Format, Input)> {
    let mut unpacked = unpacked_from(Counted { input: buffered(input), taken })?;
    // The first byte of an RLP list is never the first byte of JSON.
    let is_rlp = unpacked.fill_buf()?.first().is_none_or(|first| *first >= 0xc0);
    Ok((if is_rlp { Format::Rlp } else { Format::Json }, unpacked))
}

/// Decompresses `input`.
///
/// # Errors
/// The input cannot be read.
pub fn unpacked(input: impl Read + Send + 'static) -> io::Result<Input> {
    unpacked_from(buffered(input))
}

fn buffered<R: Read>(input: R) -> BufReader<R> {
    BufReader::with_capacity(1 << 20, input)
}

fn unpacked_from(mut packed: impl BufRead + Send + 'static) -> io::Result<Input> {
    Ok(match packed.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(MultiGzDecoder::new(packed))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(BufReader::new(zstd::Decoder::with_buffer(packed)?))
        }
        _ => Box::new(packed),
    })
}

/// Counts bytes when they are consumed, not when they are buffered: a buffer holds more than the
/// next block.
struct Counted<R> {
    input: R,
    taken: Taken,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
    }
}
