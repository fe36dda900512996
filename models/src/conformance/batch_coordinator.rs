//! Rules for commands that concern only private batches.

use super::World;
use super::coordinator_rules::{CoordinatorRules, Question};
use super::store_rules::{Why, ensure};
use braid_evm::mv::Location;
use braid_evm::protocol::Command;

impl CoordinatorRules {
    /// Checks a command that concerns only private batches.
    pub(super) fn check_batch_command<L: Location>(
        &mut self,
        command: &Command,
        world: &mut World<L>,
    ) -> Result<(), Why> {
        let batches = &mut world.batches;
        match *command {
            Command::Compare { batch, tx } => {
                self.question = Some(Question::Compare(batch, tx));
                self.at_frontier(tx)?;
                batches.results_at(batch, tx).map(|_| ())
            }
            Command::AdmitGroup { batch, group } => {
                self.question = Some(Question::AdmitGroup(group));
                self.at_frontier(group.first)?;
                let next = batches.results_at(batch, group.first)?;
                ensure(next == group, || format!("{group:?} is admitted before {next:?}"))
            }
            Command::CommitGroup { batch, group } => {
                self.at_frontier(group.first)?;
                let admitted = self.admitted_group == Some(group);
                ensure(admitted, || format!("{group:?} was not admitted"))?;
                batches.commit_group(batch, group)?;
                self.advance_to(group.end);
                Ok(())
            }
            _ => Err(format!("{command:?} concerns no batch")),
        }
    }
}
