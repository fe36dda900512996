//! The native module of the Python package `braid-evm`.
//!
//! Every function takes a block file as a path or as bytes and returns JSON; the Python side makes typed objects of
//! it. All work happens while the thread is detached from the interpreter, so that other Python threads run.

mod engine;
mod estimate;
mod execution;
mod explanation;
mod failure;
mod input;
mod lists;
mod state;
mod verification;

use braid_blocks::{
    block_file::BlockFile,
    workload::{self, Workload, WorkloadSpec},
};
use braid_cli::commands;
use clap::ValueEnum as _;
use engine::{Engine, json};
use failure::Failure;
use input::Input;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};
use std::{ffi::OsString, path::PathBuf};

// The workers of a block give each other memory all the time; the system's allocator makes them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The native part of `braid_evm`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{Engine, gas_estimate, generate, generate_file, tool};
}

/// Converts the arguments of `braid gen` into a specification of the workload.
fn spec(workload: &str, txs: u32, hot: u8, seed: u64, signed: bool) -> PyResult<WorkloadSpec> {
    let kind = Workload::from_str(workload, false).map_err(|_| {
        let known: Vec<String> =
            Workload::value_variants().iter().map(ToString::to_string).collect();
        PyValueError::new_err(format!(
            "expected a workload of {}, found {workload:?}",
            known.join(", ")
        ))
    })?;
    if hot > 100 {
        return Err(PyValueError::new_err(format!(
            "expected hot from 0 to 100 percent, found {hot}"
        )));
    }
    let spec = WorkloadSpec::new(kind, txs, hot, seed);
    Ok(if signed { spec } else { spec.unsigned() })
}

fn generated(spec: &WorkloadSpec) -> Result<BlockFile, Failure> {
    workload::generate(spec).map_err(|error| Failure::Internal(error.to_string()))
}

/// A generated block as JSON.
#[pyfunction]
fn generate<'py>(
    py: Python<'py>,
    workload: &str,
    txs: u32,
    hot: u8,
    seed: u64,
    signed: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let spec = spec(workload, txs, hot, seed, signed)?;
    let text = py.detach(|| {
        let file = generated(&spec)?;
        file.write_json(Vec::new()).map_err(|error| Failure::Internal(error.to_string()))
    })?;
    Ok(json(py, text))
}

/// Writes a generated block; the end of the name says how it is packed. Returns the gas that it uses.
#[pyfunction]
fn generate_file(
    py: Python<'_>,
    path: PathBuf,
    workload: &str,
    txs: u32,
    hot: u8,
    seed: u64,
    signed: bool,
) -> PyResult<u64> {
    let spec = spec(workload, txs, hot, seed, signed)?;
    BlockFile::check_name(&path).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let gas = py.detach(|| {
        let file = generated(&spec)?;
        file.write(&path)?;
        Ok::<_, Failure>(file.block.header.inner.gas_used)
    })?;
    Ok(gas)
}

/// Runs the tool `braid` with `arguments`; its help shows the first one as its name. Returns the exit code.
#[pyfunction]
fn tool(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| commands::main_of(arguments))
}

/// The gas that the block's header says it uses; `None` if the input is no block file. Reads nothing else of it.
#[pyfunction]
fn gas_estimate(py: Python<'_>, input: Input) -> Option<u64> {
    py.detach(|| estimate::gas(&input))
}
