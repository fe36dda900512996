//! The blocks that a chain is given: block files, folders of them, RLP as geth's `export` writes it,
//! and standard input.

mod ahead;
mod error;
mod packed;
mod source;

pub use ahead::Ahead;
pub use error::InputError;
pub use packed::{Input, unpacked};
pub use source::{Inputs, SizedBlock};

use braid_chain::{ChainBlock, Expected};
use braid_testkit::block_file::{BlockFile, FieldError};
use revm::primitives::hardfork::SpecId;

/// The block of a block file, as a chain takes it.
///
/// # Errors
/// As [`BlockFile::to_block`].
pub fn chain_block(file: &BlockFile) -> Result<ChainBlock, FieldError> {
    let (block, _) = file.to_block()?;
    let header = &file.block.header;
    let expected = Expected::of(&header.inner, block.cfg.spec.is_enabled_in(SpecId::BYZANTIUM));
    Ok(ChainBlock { block: (&block).into(), hash: header.hash, expected })
}
