//! Estimate of a block's cost from its header, in a fraction of the time that reading the whole block takes.

use crate::input::Input;
use alloy_primitives::U64;
use braid_blocks::block_file::MAX_UNPACKED_BYTES;
use serde::Deserialize;
use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

#[derive(Deserialize)]
struct FileHead {
    block: BlockHead,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockHead {
    gas_used: U64,
}

/// Gas of the block of `input`, if that is a block file.
pub(crate) fn gas(input: &Input) -> Option<u64> {
    match input {
        Input::Bytes(bytes) => gas_in(&bytes[..]),
        Input::Path(path) => gas_in(BufReader::new(File::open(path).ok()?)),
    }
}

fn gas_in(mut packed: impl BufRead) -> Option<u64> {
    let start = packed.fill_buf().ok()?;
    if start.starts_with(GZIP_MAGIC) {
        gas_of(flate2::bufread::MultiGzDecoder::new(packed))
    } else if start.starts_with(ZSTD_MAGIC) {
        gas_of(zstd::Decoder::with_buffer(packed).ok()?)
    } else {
        gas_of(packed)
    }
}

fn gas_of(json: impl Read) -> Option<u64> {
    let json = BufReader::with_capacity(1 << 16, json.take(MAX_UNPACKED_BYTES));
    let file: FileHead = serde_json::from_reader(json).ok()?;
    Some(file.block.gas_used.to())
}
