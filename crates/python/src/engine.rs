//! An executor that Python holds.

use crate::{
    execution,
    explanation::{self, Asked},
    failure::{BraidError, Failure},
    input::Input,
    lists, verification,
};
use braid_blocks::{timing::Timing, verify::Setting};
use braid_cli::profile::PROFILE;
use braid_evm::{Config, Executor, Forced, Mode, Policy};
use pyo3::{exceptions::PyValueError, prelude::*, pybacked::PyBackedBytes, types::PyBytes};
use std::{
    mem,
    num::NonZeroU16,
    panic::{self, AssertUnwindSafe},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// An executor with its threads. Calls from several Python threads take turns.
#[pyclass(frozen, module = "braid_evm._native")]
pub(crate) struct Engine {
    /// `None` only while it is dropped. In a box: Python's allocator aligns to 16 bytes, an executor to cache lines.
    executor: Option<Box<Mutex<Executor>>>,
    setting: Setting,
    /// The process that has its threads.
    process: u32,
}

const _: () = assert!(align_of::<Engine>() <= 16, "what Python allocates is aligned to 16 bytes");

/// JSON as Python has it; `json.loads` reads bytes.
pub(crate) fn json<'py>(py: Python<'py>, text: Vec<u8>) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &text)
}

const MODES: [(&str, Mode); 2] = [("validate", Mode::Validate), ("build", Mode::Build)];
const POLICIES: [(&str, Policy); 4] = [
    ("auto", Policy::Auto),
    ("speculative", Policy::Forced(Forced::Speculative)),
    ("contiguous-batches", Policy::Forced(Forced::ContiguousBatches)),
    ("sequential", Policy::Sequential),
];

/// The entry of `table` with this name.
fn named<T: Copy>(
    what: &str,
    table: &[(&'static str, T)],
    name: &str,
) -> PyResult<(&'static str, T)> {
    table.iter().find(|(known, _)| *known == name).copied().ok_or_else(|| {
        let known: Vec<&str> = table.iter().map(|(known, _)| *known).collect();
        PyValueError::new_err(format!("expected a {what} of {}, found {name:?}", known.join(", ")))
    })
}

#[pymethods]
impl Engine {
    #[new]
    fn new(
        py: Python<'_>,
        workers: Option<u16>,
        mode: &str,
        policy: &str,
        lists: bool,
    ) -> PyResult<Self> {
        let (mode_name, mode) = named("mode", &MODES, mode)?;
        let (policy_name, policy) = named("policy", &POLICIES, policy)?;
        let mut config = Config::default();
        if let Some(workers) = workers {
            config.workers = NonZeroU16::new(workers).ok_or_else(|| {
                PyValueError::new_err("expected workers from 1 to 65535, found 0")
            })?;
        }
        (config.engine.mode, config.policy, config.access_list) = (mode, policy, lists);
        let workers = config.workers.get();
        let executor = py.detach(|| Executor::new(config));
        let executor = executor.map_err(|error| {
            Failure::Internal(format!("cannot start {workers} workers: {error}"))
        })?;
        let setting = Setting {
            workers,
            mode: mode_name,
            policy: policy_name,
            rounds: 0,
            lists: "none",
            hints: false,
            profile: PROFILE,
        };
        Ok(Self { executor: Some(Box::new(Mutex::new(executor))), setting, process: process::id() })
    }

    /// Number of workers.
    #[getter]
    fn workers(&self) -> u16 {
        self.setting.workers
    }

    /// Executes the block and returns the result as JSON.
    fn execute<'py>(
        &self,
        py: Python<'py>,
        input: Input,
        name: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.detached(py, |executor| execution::execute(executor, &input, name))
    }

    /// Executes the block both ways, compares everything, and returns the line of `braid run --json`. `asked`: rounds,
    /// pause, whether signatures are checked, whether maps are written as lists of pairs.
    fn verify<'py>(
        &self,
        py: Python<'py>,
        input: Input,
        name: &str,
        asked: (u32, f64, bool, bool),
        witness: Option<PyBackedBytes>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (rounds, pause, signatures, pairs) = asked;
        let pause = Duration::try_from_secs_f64(pause).map_err(|error| {
            PyValueError::new_err(format!("expected a pause in seconds: {error}"))
        })?;
        let how = verification::How { timing: Timing { rounds, pause }, signatures, pairs };
        let setting = self.setting;
        let witness = witness.as_ref();
        self.detached(py, |executor| {
            verification::verify(executor, &input, witness, name, how, setting)
        })
    }

    /// Says why the block does not run in parallel, as the line of `braid explain --json`.
    fn explain<'py>(
        &self,
        py: Python<'py>,
        input: Input,
        name: &str,
        asked: Asked,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let setting = self.setting;
        self.detached(py, |executor| explanation::explain(executor, &input, name, &asked, setting))
    }

    /// The block's access list as JSON.
    fn access_list<'py>(
        &self,
        py: Python<'py>,
        input: Input,
        name: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.detached(py, |executor| lists::access_list(executor, &input, name))
    }
}

impl Engine {
    /// Does `work` while other Python threads run. The lock is taken only then: a thread that waited for it with the
    /// interpreter in hand would keep its holder from ending.
    fn detached<'py>(
        &self,
        py: Python<'py>,
        work: impl FnOnce(&mut Executor) -> Result<Vec<u8>, Failure> + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let Some(executor) = self.executor.as_ref().filter(|_| self.process == process::id())
        else {
            let why = "this executor belongs to another process, which has its threads: make one after the fork";
            return Err(BraidError::new_err((why, String::new())));
        };
        let text = py.detach(|| {
            // An executor that a panic went through stays usable.
            let lock = executor.lock();
            let mut executor: MutexGuard<'_, _> = lock.unwrap_or_else(PoisonError::into_inner);
            let done = panic::catch_unwind(AssertUnwindSafe(|| work(&mut executor)));
            done.unwrap_or_else(|payload| Err(Failure::panicked(payload.as_ref())))
        })?;
        Ok(json(py, text))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let executor = self.executor.take();
        if self.process != process::id() {
            // Its threads did not come along with the fork: waiting for their end would take for ever.
            mem::forget(executor);
        }
    }
}
