//! Reading blocks from files, one after the other.

use super::{
    InputError, chain_block,
    packed::{Format, Input, Taken, unpack},
};
use braid_blocks::block_file::{
    BlockFile, BlockFileError, BlockFileErrorKind, STANDARD_STREAM, is_block_file_name,
};
use braid_chain::{
    ChainBlock, Head, Rules,
    rlp::{RlpError, RlpItems, decode_block, decode_head},
};
use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Read},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

/// A block from an input.
#[derive(Debug)]
pub enum InputBlock {
    /// A block after the chain's last one. It has passed all checks that need no state.
    New(Box<ChainBlock>),
    /// A block whose number is not above that of the chain's last block. Its body was not checked.
    Old(Head),
}

/// A block, and the progress of reading the inputs.
#[derive(Debug)]
pub struct SizedBlock {
    /// The block.
    pub block: InputBlock,
    /// Name of the input that contains the block.
    pub file: String,
    /// Number of bytes of all files up to the end of the block; slightly more for compressed files.
    pub read: u64,
}

/// Reads the blocks of several inputs, in order.
pub struct Inputs {
    files: VecDeque<PathBuf>,
    rules: Rules,
    /// Number of the chain's last block.
    head: u64,
    open: Option<(String, RlpItems<Input>)>,
    taken: Taken,
    bytes: Option<u64>,
    threads: NonZeroUsize,
}

impl core::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Inputs").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Inputs {
    /// Creates a reader of the blocks in `paths`: files, folders of block files, and `-` for
    /// standard input. Blocks in RLP obey `rules`; a block file names its own fork. Senders of
    /// blocks after number `head` are recovered on `threads` threads.
    ///
    /// # Errors
    /// A path does not exist, or a folder contains no block files.
    pub fn new(
        paths: &[PathBuf],
        rules: Rules,
        head: u64,
        threads: NonZeroUsize,
    ) -> Result<Self, InputError> {
        let mut files = VecDeque::new();
        let mut bytes = Some(0_u64);
        for path in paths {
            if path == Path::new(STANDARD_STREAM) {
                bytes = None;
                files.push_back(path.clone());
                continue;
            }
            let of_path = if path.is_dir() { folder(path)? } else { vec![path.clone()] };
            for file in of_path {
                let length = fs::metadata(&file).map_err(failed(&file))?.len();
                bytes = bytes.map(|sum| sum.saturating_add(length));
                files.push_back(file);
            }
        }
        Ok(Self { files, rules, head, open: None, taken: Taken::default(), bytes, threads })
    }

    /// Returns the total size of all files in bytes; `None` if standard input is among them.
    #[must_use]
    pub const fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    fn step(&mut self) -> Result<Option<SizedBlock>, InputError> {
        loop {
            if let Some((file, items)) = &mut self.open {
                let file = file.clone();
                let rlp = |error| InputError::Rlp { file: file.clone(), error };
                match items.next().transpose().map_err(rlp)? {
                    Some(item) => {
                        let block = self.rlp_block(&item).map_err(rlp)?;
                        return Ok(Some(self.sized(block, file)));
                    }
                    None => self.open = None,
                }
            }
            let Some(path) = self.files.pop_front() else { return Ok(None) };
            let file = path.display().to_string();
            match self.open_file(&path).map_err(failed(&path))? {
                (Format::Rlp, input) => self.open = Some((file, RlpItems::new(input))),
                (Format::Json, mut input) => {
                    let mut json = Vec::new();
                    input.read_to_end(&mut json).map_err(failed(&path))?;
                    let block = self.json_block(&file, &json)?;
                    return Ok(Some(self.sized(block, file)));
                }
            }
        }
    }

    fn open_file(&self, path: &Path) -> io::Result<(Format, Input)> {
        let input: Box<dyn Read + Send> = if path == Path::new(STANDARD_STREAM) {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path)?)
        };
        unpack(input, Taken::clone(&self.taken))
    }

    fn rlp_block(&self, bytes: &[u8]) -> Result<InputBlock, RlpError> {
        let head = decode_head(bytes)?;
        if head.number <= self.head {
            return Ok(InputBlock::Old(head));
        }
        let block = decode_block(bytes, &self.rules, self.threads)?;
        Ok(InputBlock::New(Box::new(block)))
    }

    fn json_block(&self, name: &str, json: &[u8]) -> Result<InputBlock, InputError> {
        let unusable = |kind| BlockFileError::new(name, kind);
        let file = BlockFile::from_json(json).map_err(unusable)?;
        let (found, chain) = (file.meta.chain_id, self.rules.chain_id());
        if found != chain {
            return Err(InputError::ChainId { file: name.to_owned(), found, chain });
        }
        let header = &file.block.header;
        if header.number <= self.head {
            let hash = header.hash_slow();
            return Ok(InputBlock::Old(Head { number: header.number, hash }));
        }
        let block = chain_block(&file, self.threads)
            .map_err(|error| unusable(BlockFileErrorKind::Field(error)))?;
        Ok(InputBlock::New(Box::new(block)))
    }

    fn sized(&self, block: InputBlock, file: String) -> SizedBlock {
        SizedBlock { block, file, read: self.taken.load(Ordering::Relaxed) }
    }
}

impl Iterator for Inputs {
    type Item = Result<SizedBlock, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Returns the paths of the block files in a folder, sorted by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>, InputError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed(path))? {
        let entry = entry.map_err(failed(path))?;
        if is_block_file_name(&entry.file_name().to_string_lossy()) && !entry.path().is_dir() {
            files.push(entry.path());
        }
    }
    files.sort();
    if files.is_empty() {
        let name = path.display().to_string();
        return Err(BlockFileError::new(name, BlockFileErrorKind::EmptyFolder).into());
    }
    Ok(files)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> InputError {
    let file = path.display().to_string();
    move |error| InputError::Io { file, error }
}
