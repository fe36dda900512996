//! The commands of the `braid` tool, and what only they need: which inputs they take, measuring, recording
//! blocks from a node, and the page of a report.

pub mod access_list;
pub mod bench;
pub mod checks;
pub mod commands;
pub mod explain;
pub mod fetch;
pub mod inputs;
pub mod lint;
pub mod page;
pub mod profile;
pub mod survey;
