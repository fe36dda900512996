//! Executors that are kept from one input to the next.
//!
//! Starting threads for each input takes longer than executing its block, and AddressSanitizer
//! keeps a record of every thread ever started.

use crate::own::{Publishing, Teller};
use braid_evm::mutants::active;
use braid_evm::{Config, Executor};
use std::cell::RefCell;
use std::sync::Arc;

/// Maximum number of kept executors: with eight workers each, about ninety threads.
const MOST: usize = 12;

/// Parameters of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Make {
    pub(super) config: Config,
    pub(super) surcharge: Option<Publishing>,
    pub(super) precompile: Option<Teller>,
}

thread_local! {
    /// Kept executors, the most recently used one last.
    static KEPT: RefCell<Vec<(Make, Executor)>> = const { RefCell::new(Vec::new()) };
}

impl Make {
    /// Creates the parameters of an executor with nothing but `config`.
    pub(super) const fn plain(config: Config) -> Self {
        Self { config, surcharge: None, precompile: None }
    }

    /// Returns a kept executor or a new one. An executor that learns is always new, because its
    /// behaviour must depend only on the input.
    ///
    /// # Errors
    /// Returns an error if the system starts no threads.
    pub(super) fn take(self) -> Result<Executor, String> {
        let kept = KEPT.with_borrow_mut(|kept| {
            let at = kept.iter().position(|(make, _)| *make == self)?;
            Some(kept.remove(at).1)
        });
        kept.map_or_else(|| self.start(), Ok)
    }

    /// Keeps `executor`, in place of the least recently used one. One that had a seeded bug is not
    /// used again.
    pub(super) fn keep(self, executor: Executor) {
        if self.config.learn || active().is_some() {
            return;
        }
        KEPT.with_borrow_mut(|kept| {
            if kept.len() == MOST {
                kept.remove(0);
            }
            kept.push((self, executor));
        });
    }

    fn start(self) -> Result<Executor, String> {
        let started = Executor::new(self.config);
        let mut executor = started.map_err(|error| format!("no threads: {error}"))?;
        if let Some(surcharge) = self.surcharge {
            executor = executor.with_surcharge(Arc::new(surcharge));
        }
        Ok(match self.precompile {
            Some(teller) => executor.with_precompiles(vec![Arc::new(teller)]),
            None => executor,
        })
    }
}
