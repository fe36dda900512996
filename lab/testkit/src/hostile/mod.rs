//! Hostile blocks, hand-made and random, with the state before them and their sequential results,
//! for tests, the fuzz targets and `braid-lab sim`.

pub mod declared;
pub mod files;
pub mod generate;
pub mod listed;
pub mod oracle;
pub mod spoil;
