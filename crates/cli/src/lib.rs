//! The commands of the `braid` tool, and the code that only they use: resolving inputs, measuring,
//! recording blocks from a node, and the pages of reports.

pub mod access_list;
pub mod bench;
pub mod commands;
pub mod explain;
pub mod fetch;
pub mod inputs;
pub mod lint;
pub mod page;
pub mod profile;
mod serialize;
pub mod survey;
