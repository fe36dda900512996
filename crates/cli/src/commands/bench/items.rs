//! What is measured: workloads and block files.

use crate::{
    bench::{BenchError, Latency},
    inputs,
};
use braid_terminal::{End, Stop};
use braid_testkit::{
    block_file::{BlockFile, BlockFileError},
    workload::Preset,
};
use clap::ValueEnum;
use std::path::PathBuf;

/// Something to be measured.
#[derive(Debug)]
pub enum Item {
    /// A built-in workload.
    Preset(Preset),
    /// A block file.
    Input(inputs::Input),
}

/// What the words stand for: workloads, files, folders of files; without any all workloads.
///
/// # Errors
/// A word is neither a workload nor a path.
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

    /// The argument that names it.
    #[must_use]
    pub fn argument(&self) -> String {
        match self {
            Self::Preset(preset) => preset.name().to_owned(),
            Self::Input(input) => input.name(),
        }
    }

    /// What a read of its database waits unless another time is asked for.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        match self {
            Self::Preset(preset) if preset.is_slow() => Some(Latency::OF_WORKLOADS),
            _ => None,
        }
    }

    /// The block; a workload with this number of transactions if it is given, `scale` times as many.
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

/// Why there are no figures of a block.
#[derive(Debug)]
pub struct Unmeasured {
    /// How the tool ends.
    pub end: End,
    /// What it says.
    pub message: String,
}

impl Unmeasured {
    /// The block `name` cannot be measured.
    #[must_use]
    pub fn new(name: &str, error: BenchError) -> Self {
        let end = match error {
            BenchError::Invalid(_) => End::BadInput,
            BenchError::Different { .. } => End::Mismatch,
        };
        Self { end, message: format!("{name}: {error}") }
    }
}

impl From<BlockFileError> for Unmeasured {
    fn from(error: BlockFileError) -> Self {
        Self { end: End::BadInput, message: error.to_string() }
    }
}
