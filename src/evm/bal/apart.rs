//! A list that a block comes with, for a caller that does what surrounds the transactions.

use super::accesses::Accesses;
use super::claims::Claims;
use super::mismatch::AccessListError;
use crate::evm::mutants::EvmMutant;
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use std::sync::Arc;

/// A well-formed list that a block comes with: what surrounds the transactions is compared with it.
pub(crate) struct GivenList {
    claims: Claims,
    transactions: u64,
}

impl GivenList {
    /// `gas`: the gas limit of the block, if that limits the list.
    pub(crate) fn new(
        list: &Arc<Bal>,
        transactions: usize,
        gas: Option<u64>,
    ) -> Result<Self, AccessListError> {
        let claims = Claims::new(list, transactions, gas, EvmMutant::None)?;
        Ok(Self { claims, transactions: transactions as u64 })
    }

    /// Compares with `built`, the list of what was accessed before the transactions.
    pub(crate) fn compare_before(&self, built: &[AccountChanges]) -> Result<(), AccessListError> {
        let index = BlockAccessIndex::PRE_EXECUTION;
        let compared = self.claims.compare(index, &Accesses::at(built, index));
        compared.map(drop).map_err(AccessListError::Mismatch)
    }

    /// Compares what follows the transactions with `built`, the list of all that was accessed, and
    /// whether that is all that the list has. The transactions were compared.
    pub(crate) fn compare_end(&self, built: &[AccountChanges]) -> Result<(), AccessListError> {
        let index = BlockAccessIndex::from_tx_index(self.transactions);
        let marks = self.claims.compare(index, &Accesses::at(built, index));
        marks
            .and_then(|marks| self.claims.compare_all(marks.into_iter()))
            .map_err(AccessListError::Mismatch)
    }
}
