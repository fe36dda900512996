//! Rules of the caller in addition to Ethereum's.

use super::precompile::Precompile;
use crate::evm::fees::surcharge::Surcharge;
use std::sync::Arc;

/// Precompiles, surcharge and EVM of the caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions {
    pub(crate) precompiles: Arc<[Arc<dyn Precompile>]>,
    pub(crate) surcharge: Option<Arc<dyn Surcharge>>,
    /// Custom EVM that runs the transactions instead of ours and ignores the other extensions.
    #[cfg(feature = "alloy")]
    pub(crate) evm: Option<Arc<dyn super::custom_evm::CustomEvm>>,
    /// Whether the caller itself executes the steps before and after the transactions, and compares
    /// them with the list.
    #[cfg(feature = "alloy")]
    pub(crate) has_external_steps: bool,
}

impl Extensions {
    /// Whether payments can be blind credits.
    pub(in crate::evm) fn allows_blind_credits(&self) -> bool {
        #[cfg(feature = "alloy")]
        if let Some(evm) = &self.evm {
            return evm.allows_blind_credits();
        }
        true
    }

    /// Whether a custom EVM, with unknown rules, runs the transactions.
    pub(in crate::evm) fn has_custom_evm(&self) -> bool {
        #[cfg(feature = "alloy")]
        return self.evm.is_some();
        #[cfg(not(feature = "alloy"))]
        false
    }

    /// Whether the steps before and after the transactions are compared with the block's access
    /// list.
    pub(in crate::evm) const fn compares_block_steps(&self) -> bool {
        #[cfg(feature = "alloy")]
        return !self.has_external_steps;
        #[cfg(not(feature = "alloy"))]
        true
    }

    /// Whether reads are cached in a database that outlives the block, revm's `State`. If so, only
    /// what sequential execution reads may be read.
    pub(in crate::evm) const fn caches_outlive_block(&self) -> bool {
        !self.compares_block_steps()
    }

    /// Whether the output has the bundle, the outcomes and the receipts. A caller that executes the
    /// steps before and after the transactions gets the changes from the commits.
    pub(in crate::evm) const fn returns_changes(&self) -> bool {
        self.compares_block_steps()
    }

    /// Whether all balance reads are announced: instructions and the handler announce their reads,
    /// user-defined precompiles do not.
    pub(in crate::evm) fn announces_balance_reads(&self) -> bool {
        !self.has_custom_evm() && self.precompiles.is_empty()
    }
}
