//! What two builds can be asked for.

use clap::Args;
use std::path::PathBuf;

/// What is compared.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// The revision that the working tree is compared with
    #[arg(required_unless_present = "old_tool", conflicts_with = "old_tool")]
    pub(super) rev: Option<String>,
    /// This number of the shared real blocks, at equal distances, or these files [default: all of them]
    #[arg(long, visible_alias = "sample", value_name = "N|FILES", value_delimiter = ',')]
    pub(super) blocks: Vec<String>,
    /// Built-in workloads, beside the blocks
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) workloads: Vec<String>,
    /// How often both builds measure each block
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,
    /// Numbers of workers
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,2")]
    pub(super) workers: Vec<u16>,
    /// Write all figures into this file, too
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// This build instead of one of a revision
    #[arg(long, value_name = "PATH", requires = "new_tool")]
    pub(super) old_tool: Option<PathBuf>,
    /// This build instead of the working tree's
    #[arg(long, value_name = "PATH")]
    pub(super) new_tool: Option<PathBuf>,
}
