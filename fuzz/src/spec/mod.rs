//! Generates random blocks for transition tools, and compares the outputs of two tools.
//!
//! The tools are `braid-lab t8n` and the executable specification. Both get the same JSON.

mod compare;
mod input;

pub use compare::{Oddities, differences};
pub use input::{Case, FORKS, Forks, OLD_FORKS, Signers, case};
