//! User-defined rules, in addition to Ethereum's.

use super::precompile::Precompile;
use crate::evm::fees::surcharge::Surcharge;
use std::sync::Arc;

/// User-defined rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions {
    pub(crate) precompiles: Arc<[Arc<dyn Precompile>]>,
    pub(crate) surcharge: Option<Arc<dyn Surcharge>>,
    /// Custom EVM that runs the transactions instead of ours; it knows nothing of the other rules.
    #[cfg(feature = "alloy")]
    pub(crate) evm: Option<Arc<dyn super::custom_evm::CustomEvm>>,
    /// Whether the caller itself executes the steps before and after the transactions, and compares
    /// them with the list.
    #[cfg(feature = "alloy")]
    pub(crate) is_surrounded: bool,
}

impl Extensions {
    /// Whether payments of transactions can be blind credits.
    pub(in crate::evm) fn can_defer(&self) -> bool {
        #[cfg(feature = "alloy")]
        if let Some(evm) = &self.evm {
            return evm.can_defer();
        }
        true
    }

    /// Whether a custom EVM, whose rules are not known, runs the transactions.
    pub(in crate::evm) fn has_own_evm(&self) -> bool {
        #[cfg(feature = "alloy")]
        return self.evm.is_some();
        #[cfg(not(feature = "alloy"))]
        false
    }

    /// Whether the steps before and after the transactions are compared with the block's access
    /// list.
    pub(in crate::evm) const fn compares_surroundings(&self) -> bool {
        #[cfg(feature = "alloy")]
        return !self.is_surrounded;
        #[cfg(not(feature = "alloy"))]
        true
    }

    /// Whether reads are cached in a database that outlives the block, revm's `State`. What
    /// sequential execution does not read must then not be read.
    pub(in crate::evm) const fn reads_stay(&self) -> bool {
        !self.compares_surroundings()
    }

    /// Whether the output has the bundle, the outcomes and the receipts. A caller that executes the
    /// steps around the transactions gets the changes from the commits.
    pub(in crate::evm) const fn returns_changes(&self) -> bool {
        self.compares_surroundings()
    }

    /// Whether all balance reads are announced: instructions and the handler announce theirs,
    /// user-defined precompiles read without notice.
    pub(in crate::evm) fn is_announced(&self) -> bool {
        !self.has_own_evm() && self.precompiles.is_empty()
    }
}
