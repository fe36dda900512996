//! Workloads and block files to be measured.

use crate::{
    bench::{BenchError, Latency},
    commands::json::write_error,
    inputs,
};
use braid_blocks::{
    block::Block,
    block_file::{BlockFile, BlockFileError, FileDatabase},
    verify::checks,
    workload::Preset,
};
use braid_terminal::{End, Stop, print_error};
use clap::ValueEnum;
use std::{io, path::PathBuf};

/// A workload or a block file to measure.
#[derive(Debug)]
pub enum Item {
    /// A built-in workload.
    Preset(Preset),
    /// A block file.
    Input(inputs::Input),
}

/// Resolves the arguments, which name workloads, files and folders; without arguments, returns all
/// workloads.
pub fn items(what: &[String]) -> Result<Vec<Item>, Stop> {
    if what.is_empty() {
        return Ok(Preset::ALL.into_iter().map(Item::Preset).collect());
    }
    let mut items = Vec::new();
    for name in what {
        if let Ok(preset) = Preset::from_str(name, false) {
            items.push(Item::Preset(preset));
            continue;
        }
        let path = PathBuf::from(name);
        if !path.exists() {
            let known = Preset::ALL.map(Preset::name).join(", ");
            return Err(Stop::Message(format!(
                "{name}: expected a file, a folder or one of the workloads {known}"
            )));
        }
        let inputs = inputs::expand(&[path]).map_err(|error| Stop::Message(error.to_string()))?;
        items.extend(inputs.into_iter().map(Item::Input));
    }
    Ok(items)
}

impl Item {
    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Preset(preset) => preset.name().to_owned(),
            Self::Input(input) => inputs::short(&input.name()),
        }
    }

    /// Returns the argument that names the item.
    #[must_use]
    pub fn argument(&self) -> String {
        match self {
            Self::Preset(preset) => preset.name().to_owned(),
            Self::Input(input) => input.name(),
        }
    }

    /// Whether it states the results of its block: a block file does, a workload does not.
    pub(super) fn is_sealed(&self) -> bool {
        matches!(self, Self::Input(_))
    }

    /// Returns the default delay of its database reads.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        match self {
            Self::Preset(preset) if preset.is_slow() => Some(Latency::OF_WORKLOADS),
            _ => None,
        }
    }

    /// Loads the block. A workload gets `txs` transactions, or its default number, times `scale`.
    ///
    /// # Errors
    /// The file cannot be read, or the workload cannot be generated.
    pub fn scaled(self, txs: Option<u32>, scale: u32, seed: u64) -> Result<BlockFile, Unmeasured> {
        match self {
            Self::Preset(preset) => {
                let transactions = txs.unwrap_or(preset.transactions());
                let transactions = transactions.saturating_mul(scale);
                preset.block(transactions, seed).map_err(|error| Unmeasured {
                    end: End::BadInput,
                    message: format!("{}: {error}", preset.name()),
                })
            }
            Self::Input(input) => input.load().map_err(Unmeasured::from),
        }
    }
}

/// Compares the block of `file`, executed sequentially, with its header and file.
///
/// # Errors
/// The block is invalid, or there is a difference.
pub(super) fn check(
    file: &BlockFile,
    block: &Block,
    database: &FileDatabase,
) -> Result<(), BenchError> {
    match checks::of_file(file, block, database) {
        Ok(None) => Ok(()),
        Ok(Some(difference)) => Err(BenchError::Wrong(difference)),
        Err(error) => Err(BenchError::Invalid(error.to_string())),
    }
}

/// Why a block could not be measured.
#[derive(Debug)]
pub struct Unmeasured {
    /// How the tool ends because of it.
    pub end: End,
    /// The message to print.
    pub message: String,
}

impl Unmeasured {
    /// The block `name` cannot be measured.
    #[must_use]
    pub fn new(name: &str, error: BenchError) -> Self {
        let end = match error {
            BenchError::Invalid(_) => End::BadInput,
            BenchError::Different { .. } | BenchError::Wrong(_) => End::Mismatch,
        };
        Self { end, message: format!("{name}: {error}") }
    }

    /// Prints the message about the item `name`: as JSON to standard output, or as text.
    pub(super) fn print(&self, name: &str, json: bool) -> io::Result<()> {
        if json {
            return write_error(name, &self.message);
        }
        print_error(&self.message);
        Ok(())
    }
}

impl From<BlockFileError> for Unmeasured {
    fn from(error: BlockFileError) -> Self {
        Self { end: End::BadInput, message: error.to_string() }
    }
}
