//! Inputs of a chain: block files, folders of block files, RLP as `geth export` writes it, and
//! standard input.

mod ahead;
mod block_file;
mod error;
mod packed;
mod source;

pub use ahead::{Ahead, Next};
pub use block_file::chain_block;
pub use error::InputError;
pub use packed::{Input, unpacked};
pub use source::{InputBlock, Inputs, SizedBlock};
