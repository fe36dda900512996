//! Groups of transactions that commit together, and how the ledger commits them.

use super::ledger::EvmLedger;
use crate::evm::block::receipts::OutcomesBuilder;
use crate::evm::exec::rejection::Rejection;
use crate::evm::exec::trial::Trial;
use crate::evm::exec::tx_output::TxOutput;
use crate::ids::{Chunk, TxIndex};
use crate::worker::Ledger;
use std::sync::Arc;

/// Result of a group of transactions.
pub(in crate::evm) enum BatchGroup {
    /// One transaction.
    Single(Arc<TxOutput>),
    /// Contiguous transactions.
    Combined(Box<Combined>),
}

/// Combined result of contiguous transactions.
pub(in crate::evm) struct Combined {
    /// Outcomes; without results if `outcomes_builder` has them.
    pub(in crate::evm) ledger: EvmLedger,
    /// Outcomes and receipts, unless commits are streamed: then the ledger has the results.
    pub(in crate::evm) outcomes_builder: Option<OutcomesBuilder>,
}

impl Ledger for EvmLedger {
    type Output = Arc<TxOutput>;
    type Rejection = Rejection;
    type Group = BatchGroup;

    fn admit(&mut self, tx: TxIndex) -> Result<(), Rejection> {
        self.check_room(tx)
    }

    fn commit(&mut self, tx: TxIndex, mut output: Arc<TxOutput>) {
        let Some(only) = Arc::get_mut(&mut output) else {
            unreachable!("the output is shared only after its commit")
        };
        self.fill_in(&mut only.changes);
        self.record_accesses(tx, core::mem::take(&mut only.access_records));
        self.add_gas(tx, output.result.gas());
        self.note_work(tx, output.work);
        self.push(tx, Ok(Some(output)));
    }

    fn skip(&mut self, tx: TxIndex, reason: Rejection) {
        self.push(tx, Err(reason));
    }

    fn is_unprofitable(&self) -> bool {
        self.trial.as_ref().is_some_and(Trial::is_lost)
    }

    fn admits(&mut self, txs: Chunk, group: &BatchGroup) -> bool {
        match group {
            BatchGroup::Single(_) => self.admit(txs.first).is_ok() || mutant!(SingleNotAdmitted),
            BatchGroup::Combined(combined) => self.has_room_for(&combined.ledger),
        }
    }

    fn commit_group(&mut self, txs: Chunk, group: BatchGroup) {
        match group {
            BatchGroup::Single(output) => self.commit(txs.first, output),
            BatchGroup::Combined(combined) => {
                let Combined { ledger, outcomes_builder } = *combined;
                if let Some(outcomes_builder) = outcomes_builder {
                    let mut output_builder = core::mem::take(&mut self.output_builder);
                    // Earlier results may not have been split yet.
                    self.split_into(&mut output_builder.outcomes_builder);
                    output_builder.append(&ledger.outcomes, outcomes_builder);
                    self.output_builder = output_builder;
                }
                self.append(ledger);
            }
        }
        if let Some(feed) = &mut self.feed {
            feed.send(&self.outcomes);
        }
    }
}
