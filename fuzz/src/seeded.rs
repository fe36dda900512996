//! Seeded bugs of the executor and of the crates above it, for the targets that must find them.

use crate::targets::Target;
use braid_chain::mutants as chain;
use braid_evm::mutants::{Bug, seed};
use braid_node::mutants as node;
use core::fmt;

/// A seeded bug of the executor or of a crate above it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seeded {
    /// A bug of the executor.
    Executor(Bug),
    /// A bug of a chain.
    Chain(chain::Bug),
    /// A bug of a node.
    Node(node::Bug),
}

impl fmt::Debug for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Executor(bug) => bug.fmt(f),
            Self::Chain(bug) => bug.fmt(f),
            Self::Node(bug) => bug.fmt(f),
        }
    }
}

impl Seeded {
    /// Returns the bug of `target` with this name.
    #[must_use]
    pub fn named(target: Target, name: &str) -> Option<Self> {
        Self::of(target).into_iter().find(|bug| format!("{bug:?}") == name)
    }

    /// Runs `body` with this bug on this thread.
    pub fn with<T>(self, body: impl FnOnce() -> T) -> T {
        match self {
            Self::Executor(bug) => {
                let _bug = seed(bug);
                body()
            }
            Self::Chain(bug) => chain::with_bug(Some(bug), body),
            Self::Node(bug) => node::with_bug(Some(bug), body),
        }
    }
}
