//! Checks a block's own access list for a caller that runs the pre-block and post-block steps
//! itself.

use super::accesses::Accesses;
use super::mismatch::AccessListError;
use super::prepared_list::PreparedList;
use alloy_eip7928::bal::Bal;
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use std::sync::Arc;

/// Compares a block's own access list with the steps before and after its transactions.
pub(crate) struct StepChecker {
    list: PreparedList,
    transactions: u64,
}

impl StepChecker {
    /// Validates `list`; `gas` is the block's gas limit, if it bounds the length of the list.
    pub(crate) fn new(
        list: &Arc<Bal>,
        transactions: usize,
        gas: Option<u64>,
    ) -> Result<Self, AccessListError> {
        let list = PreparedList::new(list, transactions, gas)?;
        Ok(Self { list, transactions: transactions as u64 })
    }

    /// Compares the list with `built`, the access list of the steps before the transactions.
    pub(crate) fn compare_before(&self, built: &[AccountChanges]) -> Result<(), AccessListError> {
        let index = BlockAccessIndex::PRE_EXECUTION;
        let compared = self.list.compare(index, &Accesses::at(built, index));
        compared.map(drop).map_err(AccessListError::Mismatch)
    }

    /// Compares the list with `built`, the complete access list, at the index after the
    /// transactions, and checks that every listed item was accessed. All lower indices must have
    /// been compared before.
    pub(crate) fn compare_end(&self, built: &[AccountChanges]) -> Result<(), AccessListError> {
        let index = BlockAccessIndex::from_tx_index(self.transactions);
        let marks = self.list.compare(index, &Accesses::at(built, index));
        marks
            .and_then(|marks| self.list.compare_all(marks.into_iter()))
            .map_err(AccessListError::Mismatch)
    }
}
