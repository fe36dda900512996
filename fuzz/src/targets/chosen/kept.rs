//! Executors that are kept from one input to the next.
//!
//! Starting threads for each input takes longer than its block, and AddressSanitizer keeps a record
//! of every thread that ever was.

use super::super::Bugs;
use crate::own::{Publishing, Teller};
use braid_evm::{Config, Executor};
use std::cell::RefCell;
use std::sync::Arc;

/// Executors that are kept at most: with eight workers each that is some ninety threads.
const MOST: usize = 12;

/// What an executor was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Make {
    pub(super) config: Config,
    pub(super) surcharge: Option<Publishing>,
    pub(super) precompile: Option<Teller>,
    pub(super) bugs: Bugs,
}

thread_local! {
    /// The one that was used last comes last.
    static KEPT: RefCell<Vec<(Make, Executor)>> = const { RefCell::new(Vec::new()) };
}

impl Make {
    /// An executor with nothing but `config`.
    pub(super) const fn plain(config: Config, bugs: Bugs) -> Self {
        Self { config, surcharge: None, precompile: None, bugs }
    }

    /// One that was kept, or a new one. An executor that learns is new: what it does shall follow from the
    /// input alone.
    ///
    /// # Errors
    /// The system starts no threads.
    pub(super) fn take(self) -> Result<Executor, String> {
        let kept = KEPT.with_borrow_mut(|kept| {
            let at = kept.iter().position(|(make, _)| *make == self)?;
            Some(kept.remove(at).1)
        });
        kept.map_or_else(|| self.start(), Ok)
    }

    /// Keeps `executor`, in place of the one that was not used for longest.
    pub(super) fn keep(self, executor: Executor) {
        if self.config.learn {
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
        executor = executor.with_mutant(self.bugs.evm);
        if let Some(surcharge) = self.surcharge {
            executor = executor.with_surcharge(Arc::new(surcharge));
        }
        Ok(match self.precompile {
            Some(teller) => executor.with_precompiles(vec![Arc::new(teller)]),
            None => executor,
        })
    }
}
