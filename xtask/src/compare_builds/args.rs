//! Arguments of `cargo xtask compare-builds`.

use clap::Args;
use std::path::PathBuf;

/// Builds, blocks and settings to compare.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// Revision to compare the working tree with
    #[arg(required_unless_present = "old_tool", conflicts_with = "old_tool")]
    pub(super) rev: Option<String>,
    /// Number of shared real blocks to measure, evenly spaced, or block files [default: all shared
    /// blocks]
    #[arg(long, visible_alias = "sample", value_name = "N|FILES", value_delimiter = ',')]
    pub(super) blocks: Vec<String>,
    /// Also measure these built-in workloads
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) workloads: Vec<String>,
    /// Measurements of each block per build
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,
    /// Numbers of workers
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,2")]
    pub(super) workers: Vec<u16>,
    /// Also write all figures to this file
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Path of the old tool; no revision is built
    #[arg(long, value_name = "PATH", requires = "new_tool")]
    pub(super) old_tool: Option<PathBuf>,
    /// Path of the new tool; the working tree is not built
    #[arg(long, value_name = "PATH")]
    pub(super) new_tool: Option<PathBuf>,
}
