//! The commands of the `braid` tool, and what only they need: measuring, recording blocks from a node, the
//! page of a report, the formats of test suites and transition tools.

pub mod access_list;
pub mod bench;
pub mod checks;
pub mod commands;
pub mod explain;
pub mod fetch;
pub mod lint;
pub mod page;
pub mod profile;
pub mod suite;
pub mod survey;
pub mod t8n;
