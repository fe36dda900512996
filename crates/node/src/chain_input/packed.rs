//! Bytes that may be packed with gzip or zstd, as their first bytes tell.

use flate2::bufread::MultiGzDecoder;
use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes of files that the blocks so far were made of, for progress.
pub(super) type Taken = Arc<AtomicU64>;

/// Unpacked bytes.
pub type Input = Box<dyn BufRead + Send>;

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A block file.
    Json,
    /// Blocks in RLP.
    Rlp,
}

/// Unpacks `input` and tells what is in it.
pub(super) fn unpack(
    input: impl Read + Send + 'static,
    taken: Taken,
) -> io::Result<(Format, Input)> {
    let mut unpacked = unpacked_from(Counted { input: buffered(input), taken })?;
    // A list in RLP begins with a byte that no JSON begins with.
    let is_rlp = unpacked.fill_buf()?.first().is_none_or(|first| *first >= 0xc0);
    Ok((if is_rlp { Format::Rlp } else { Format::Json }, unpacked))
}

/// Unpacks `input`.
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

/// Counts bytes when they are consumed: a buffer holds more than the next block.
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
