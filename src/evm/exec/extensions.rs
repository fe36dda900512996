//! Rules of the user's own, beside those of Ethereum.

use super::precompile::Precompile;
use crate::evm::fees::surcharge::Surcharge;
use std::sync::Arc;

/// Rules of the user's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions {
    pub(crate) precompiles: Arc<[Arc<dyn Precompile>]>,
    pub(crate) surcharge: Option<Arc<dyn Surcharge>>,
    /// Runs the transactions instead of ours; knows nothing of the other rules.
    #[cfg(feature = "alloy")]
    pub(crate) evm: Option<Arc<dyn super::custom_evm::CustomEvm>>,
    /// The caller does what surrounds the transactions, and compares that with the list.
    #[cfg(feature = "alloy")]
    pub(crate) is_surrounded: bool,
}

impl Extensions {
    /// Whether what transactions pay can be deferred.
    pub(in crate::evm) fn can_defer(&self) -> bool {
        #[cfg(feature = "alloy")]
        if let Some(evm) = &self.evm {
            return evm.can_defer();
        }
        true
    }

    /// Whether an EVM of the chain's own runs the transactions, whose rules are not known.
    pub(in crate::evm) fn has_own_evm(&self) -> bool {
        #[cfg(feature = "alloy")]
        return self.evm.is_some();
        #[cfg(not(feature = "alloy"))]
        false
    }

    /// Whether what surrounds the transactions is compared with a list that the block comes with.
    pub(in crate::evm) const fn compares_surroundings(&self) -> bool {
        #[cfg(feature = "alloy")]
        return !self.is_surrounded;
        #[cfg(not(feature = "alloy"))]
        true
    }

    /// Whether what is read stays in a database that outlives the block, revm's `State`: there,
    /// what sequential execution does not read must not be read.
    pub(in crate::evm) const fn reads_stay(&self) -> bool {
        !self.compares_surroundings()
    }

    /// Whether only instructions and the handler look at balances: precompiles read what
    /// they like.
    pub(in crate::evm) fn is_announced(&self) -> bool {
        !self.has_own_evm() && self.precompiles.is_empty()
    }
}
