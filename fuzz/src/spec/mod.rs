//! Random blocks for transition tools, and the comparison of what two tools say of them.
//!
//! One is `braid-lab t8n`, the other the executable specification. Both get the same JSON.

mod compare;
mod input;

pub use compare::{Oddities, differences};
pub use input::{Case, FORKS, Forks, OLD_FORKS, Signers, case};
