//! Blocks that mean harm, hand-made and random, the state before them, and what sequential
//! execution makes of them. They serve tests, the fuzz targets and `braid-lab sim`.

pub mod code;
pub mod declared;
pub mod faulty;
pub mod files;
pub mod generate;
pub mod listed;
pub mod memory;
pub mod oracle;
pub mod spoil;
